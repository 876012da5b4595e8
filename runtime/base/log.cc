#include "runtime/base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/base/log_format.h"
#include "runtime/base/operation.h"
#include "runtime/base/unique_fd.h"

namespace fermata::log {
namespace {

int PriorityOf(spdlog::level::level_enum level) {
  if (level >= spdlog::level::err) return LOG_ERR;
  if (level == spdlog::level::warn) return LOG_WARNING;
  return level == spdlog::level::info ? LOG_INFO : LOG_DEBUG;
}

// A journal that hangs is not to hang whoever logs: unix(7) blocks a sender while the queue is full.
constexpr timeval kJournalPatience{0, 100'000};

// One datagram an entry. Not libsystemd: it would bring its compressors into a daemon that needs this one call of it.
class JournalSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit JournalSink(UniqueFd socket) : socket_(std::move(socket)) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string entry =
        JournalEntry(PriorityOf(message.level), {message.payload.data(), message.payload.size()}, About::All());
    // A journal that is being restarted loses an entry, and so does one that takes none in time (kJournalPatience).
    (void)::send(socket_.get(), entry.data(), entry.size(), MSG_NOSIGNAL);
  }
  void flush_() override {}

 private:
  UniqueFd socket_;
};

Result<std::shared_ptr<spdlog::sinks::sink>> OpenJournal(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error::Make(ErrorCode::kInvalidArgument, path, ": is too long for a socket");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return Error::Errno("socket");
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kJournalPatience, sizeof kJournalPatience);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::Errno("log format journald: ", path)
        .WithCode(ErrorCode::kUnavailable)
        .Wrap("use the format text or json where no journal runs");
  }
  return std::shared_ptr<spdlog::sinks::sink>(std::make_shared<JournalSink>(std::move(socket)));
}

}  // namespace

Result<> Setup(const Options& options) {
  constexpr std::array<std::string_view, 5> kLevels = {"trace", "debug", "info", "warn", "error"};
  if (std::find(kLevels.begin(), kLevels.end(), options.level) == kLevels.end()) {
    return Error::Make(ErrorCode::kInvalidArgument, "log level ", options.level,
                       ": use trace, debug, info, warn or error");
  }
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (options.format == "journald") {
    ASSIGN_OR_RETURN(sink, OpenJournal(options.journal_socket));
  } else if (options.format == "text" || options.format == "json") {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_formatter(options.format == "json" ? JsonFormat() : TextFormat());
  } else {
    return Error::Make(ErrorCode::kInvalidArgument, "log format ", options.format, ": use text, json or journald");
  }
  auto logger = std::make_shared<spdlog::logger>("fermata", std::move(sink));
  logger->set_level(spdlog::level::from_str(options.level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace fermata::log
