#include "sandbox/pods/log_follower.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <ctime>

#include "runtime/base/file.h"

namespace fermata::sandbox::pods {
namespace {

constexpr size_t kBlock = size_t{64} << 10;

template <typename Number>
bool ReadNumber(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

// "2026-01-02T03:04:05.123456789Z", the form that our monitor writes.
bool ParseTime(std::string_view text, int64_t& ns) {
  if (text.size() != 30 || text[10] != 'T' || text[19] != '.' || text[29] != 'Z') return false;
  tm parts{};
  int64_t fraction = 0;
  const bool numbers = ReadNumber(text.substr(0, 4), parts.tm_year) && ReadNumber(text.substr(5, 2), parts.tm_mon) &&
                       ReadNumber(text.substr(8, 2), parts.tm_mday) && ReadNumber(text.substr(11, 2), parts.tm_hour) &&
                       ReadNumber(text.substr(14, 2), parts.tm_min) && ReadNumber(text.substr(17, 2), parts.tm_sec) &&
                       ReadNumber(text.substr(20, 9), fraction);
  constexpr int kLastYear = 2261;  // the last one whose nanoseconds since 1970 an int64 holds as a whole
  if (!numbers || fraction < 0 || parts.tm_year < 1970 || parts.tm_year > kLastYear) return false;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  ns = int64_t{::timegm(&parts)} * 1'000'000'000 + fraction;
  return true;
}

// Where the last `lines` lines of a file begin.
off_t TailOffset(int fd, int64_t lines) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return 0;
  if (lines < 0) return status.st_size;
  std::string block(kBlock, '\0');
  int64_t seen = 0;
  for (off_t end = status.st_size; end > 0;) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(kBlock));
    const ssize_t count = ::pread(fd, block.data(), static_cast<size_t>(end - begin), begin);
    if (count <= 0) return 0;
    for (ssize_t i = count - 1; i >= 0; --i) {
      // The newline at the very end closes the last line and does not begin one.
      if (block[static_cast<size_t>(i)] == '\n' && begin + i + 1 < status.st_size && ++seen == lines)
        return begin + i + 1;
    }
    end = begin;
  }
  return 0;
}

// Its time is 0, so that it comes before all records.
LogLine PositionOf(const std::string& container, uint32_t attempt, int64_t offset) {
  LogLine line;
  line.container = container;
  line.attempt = attempt;
  line.end_offset = offset;
  line.position_only = true;
  return line;
}

}  // namespace

bool ParseLogLine(std::string_view text, LogLine& line) {
  const size_t stream = text.find(' ');
  if (stream == std::string_view::npos || !ParseTime(text.substr(0, stream), line.time_ns)) return false;
  const size_t tag = text.find(' ', stream + 1);
  const size_t content = tag == std::string_view::npos ? tag : text.find(' ', tag + 1);
  if (content == std::string_view::npos) return false;
  const std::string_view name = text.substr(stream + 1, tag - stream - 1);
  if (name != "stdout" && name != "stderr") return false;
  line.is_stderr = name == "stderr";
  line.partial = text.substr(tag + 1, 1) == "P";
  line.content = text.substr(content + 1);
  return true;
}

void LogFollower::Open(Source& source, const std::string& path, const LogPosition* position) {
  auto file = OpenAt(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return;  // not there yet: tried again at the next change
  source.file = std::move(*file);
  source.open = true;
  if (position != nullptr) {
    source.offset = position->offset;
  } else if (first_ && options_.tail_lines != 0) {
    source.offset = TailOffset(source.file.get(), options_.tail_lines);
  }
  (void)::lseek(source.file.get(), source.offset, SEEK_SET);
  if (inotify_.valid()) (void)::inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY);
}

void LogFollower::Read(const std::string& container, Source& source, std::vector<LogLine>& lines) const {
  std::string block(kBlock, '\0');
  for (;;) {
    const ssize_t count = ::read(source.file.get(), block.data(), block.size());
    if (count <= 0) return;
    source.rest.append(block, 0, static_cast<size_t>(count));
    size_t begin = 0;
    for (size_t end = source.rest.find('\n'); end != std::string::npos; end = source.rest.find('\n', begin)) {
      LogLine line;
      line.container = container;
      line.attempt = source.attempt;
      source.offset += static_cast<int64_t>(end + 1 - begin);
      line.end_offset = source.offset;
      if (ParseLogLine(std::string_view(source.rest).substr(begin, end - begin), line) &&
          line.time_ns >= options_.since_ns) {
        lines.push_back(std::move(line));
      }
      begin = end + 1;
    }
    source.rest.erase(0, begin);
  }
}

void LogFollower::Update(const PodView& view, std::vector<LogLine>& lines) {
  for (const ContainerView& container : view.All()) {
    if (container.newest == nullptr || container.newest->log_path.empty()) continue;
    if (!options_.container.empty() && options_.container != container.name) continue;
    if (options_.previous && container.newest->spec.attempt == 0) continue;
    const auto [entry, added] = sources_.try_emplace(container.name);
    Source& source = entry->second;
    const uint32_t newest = container.newest->spec.attempt - (options_.previous ? 1 : 0);
    const auto resume = options_.resume.find(container.name);
    const LogPosition* position = resume == options_.resume.end() ? nullptr : &resume->second;
    if (added) source.attempt = position != nullptr ? std::min(position->attempt, newest) : newest;
    for (;;) {
      if (!source.open) {
        const std::string& path = container.newest->log_path;
        const bool resumed = position != nullptr && position->attempt == source.attempt;
        Open(source, path.substr(0, path.rfind('/') + 1) + std::to_string(source.attempt) + ".log",
             resumed ? position : nullptr);
        if (source.open) lines.push_back(PositionOf(container.name, source.attempt, source.offset));
      }
      if (source.open) Read(container.name, source, lines);
      if (source.attempt >= newest) break;
      source = Source{.attempt = source.attempt + 1,
                      .open = false,
                      .offset = 0,
                      .file = UniqueFd(),
                      .rest = {}};  // it was started again meanwhile
    }
  }
}

Result<> LogFollower::Run(const ChangeNotifier::Listener& listener, const std::function<bool()>& ended,
                          const Sink& sink) {
  if (options_.follow) {
    inotify_.Reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify_.valid()) return Error::Errno("inotify_init1");
  }
  for (;;) {
    listener.Clear();
    char events[4096];
    while (inotify_.valid() && ::read(inotify_.get(), events, sizeof events) > 0) {
    }
    const auto view = pods_.View(id_);
    if (!view && first_) return view.error();
    if (!view) return {};
    // Looked at before the logs: what is written before the end is then certainly read.
    const bool over =
        view->phase == "Succeeded" || view->phase == "Failed" || view->sandbox->state != SandboxState::kReady;
    std::vector<LogLine> lines;
    Update(*view, lines);
    first_ = false;
    std::stable_sort(lines.begin(), lines.end(),
                     [](const LogLine& a, const LogLine& b) { return a.time_ns < b.time_ns; });
    for (const LogLine& line : lines) {
      if (!sink(line)) return {};
    }
    if (!options_.follow || over || ended()) return {};
    pollfd wait[2] = {{inotify_.get(), POLLIN, 0}, {listener.fd(), POLLIN, 0}};
    (void)::poll(wait, 2, -1);
    if (ended()) return {};
  }
}

}  // namespace fermata::sandbox::pods
