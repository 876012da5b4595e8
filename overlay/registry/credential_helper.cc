#include "overlay/registry/credential_helper.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "runtime/base/memfd.h"
#include "runtime/base/spawn.h"

namespace fermata::overlay {
namespace {

constexpr size_t kMaxAnswerBytes = size_t{64} << 10;

Error Failed(std::string_view reason) { return Error::Make(ErrorCode::kFailedPrecondition, reason); }

bool IsHelperName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<std::string> FindInPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string_view left = path != nullptr ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  while (!left.empty()) {
    const std::string_view directory = left.substr(0, left.find(':'));
    left.remove_prefix(std::min(directory.size() + 1, left.size()));
    if (!directory.starts_with('/')) continue;  // never from where somebody happens to stand
    std::string file = std::string(directory) + "/" + program;
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  return Failed("not found in PATH");
}

// Killed and reaped at the latest by the destructor.
class Helper {
 public:
  explicit Helper(SpawnedProcess process) : process_(std::move(process)) {}
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper() {
    if (reaped_) return;
    (void)process_.pidfd.Signal(SIGKILL);  // fails for one that has ended
    (void)Reap(process_.pidfd);
  }
  [[nodiscard]] int pidfd() const { return process_.pidfd.get(); }
  Result<int> Wait() {
    reaped_ = true;
    return Reap(process_.pidfd);
  }

 private:
  SpawnedProcess process_;
  bool reaped_ = false;
};

using Deadline = std::chrono::steady_clock::time_point;

// Waits for `fd`; errors at the deadline and when stopped.
Result<> Await(int fd, Deadline deadline, const Stops& stops) {
  for (;;) {
    std::vector<pollfd> entries = {{fd, POLLIN, 0}};
    for (const auto& cause : stops.causes) entries.push_back({cause->fd(), POLLIN, 0});
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready = ::poll(entries.data(), entries.size(), static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Error::Errno("poll");
    if (stops.stopped()) return Error::Make(ErrorCode::kCancelled, "cancelled");
    if (ready == 0) return Error::Make(ErrorCode::kUnavailable, "no answer in time, so it was killed");
    return {};
  }
}

Result<std::string> ReadAnswer(int fd, Deadline deadline, const Stops& stops) {
  std::string answer;
  std::array<char, 4096> buffer{};
  for (;;) {
    RETURN_IF_ERROR(Await(fd, deadline, stops));
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::Errno("read");
    if (count == 0) return answer;
    if (answer.size() + static_cast<size_t>(count) > kMaxAnswerBytes) return Failed("says more than 64 KiB");
    answer.append(buffer.data(), static_cast<size_t>(count));
  }
}

// The whole environment: helpers of clouds find their own settings there.
std::vector<std::string> Environment() {
  std::vector<std::string> variables;
  for (char** variable = ::environ; *variable != nullptr; ++variable) variables.emplace_back(*variable);
  return variables;
}

Result<SpawnedProcess> Start(const std::string& program, int input, int output) {
  ASSIGN_OR_RETURN(const UniqueFd null, OpenAt(AT_FDCWD, "/dev/null", O_RDWR));
  SpawnOptions options;
  ASSIGN_OR_RETURN(options.executable, FindInPath(program));
  options.arguments = {program, "get"};
  options.environment = Environment();
  options.fds = {{input, 0}, {output, 1}, {null.get(), 2}};
  return Spawn(options);
}

Result<std::optional<Credentials>> Run(const std::string& program, const std::string& server_url, Deadline deadline,
                                       const Stops& stops) {
  // A file, not a pipe: nothing has to be written while the helper runs, or after it has gone.
  ASSIGN_OR_RETURN(const UniqueFd input, SealedData("credential-request", server_url));
  if (::lseek(input.get(), 0, SEEK_SET) != 0) return Error::Errno("lseek");
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::Errno("pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  ASSIGN_OR_RETURN(SpawnedProcess spawned, Start(program, input.get(), writer.get()));
  Helper helper(std::move(spawned));
  writer.Reset();
  ASSIGN_OR_RETURN(std::string answer, ReadAnswer(reader.get(), deadline, stops));
  RETURN_IF_ERROR(Await(helper.pidfd(), deadline, stops));
  ASSIGN_OR_RETURN(const int status, helper.Wait());
  if (status != 0) {
    if (answer.find("credentials not found") != std::string::npos) return std::optional<Credentials>();
    return Failed("ended with status " + std::to_string(status));
  }
  auto credentials = ParseHelperAnswer(answer, "answer");
  ::explicit_bzero(answer.data(), answer.size());
  if (!credentials) return std::move(credentials).error();
  return std::optional<Credentials>(std::move(credentials).value());
}

}  // namespace

Result<Credentials> ParseHelperAnswer(std::string_view text, std::string_view what) {
  const auto invalid = [&](std::string_view reason) {
    return Error::Make(ErrorCode::kInvalidArgument, what, ": ", reason);
  };
  const auto document = ParseJson(text, what);
  if (!document || !document->is_object()) return invalid("not a JSON object");
  const auto user = document->find("Username"), secret = document->find("Secret");
  if (user == document->end() || secret == document->end() || !user->is_string() || !secret->is_string()) {
    return invalid("without Username and Secret");
  }
  Credentials credentials;
  if (*user == "<token>") {
    credentials.identity_token = secret->get<std::string>();
  } else {
    credentials.username = user->get<std::string>();
    credentials.password = secret->get<std::string>();
  }
  return credentials;
}

Result<std::optional<Credentials>> RunCredentialHelper(const std::string& helper, const std::string& server_url,
                                                       std::chrono::milliseconds deadline, const Stops& stops) {
  if (!IsHelperName(helper)) {
    return Error::Make(ErrorCode::kInvalidArgument, "credential helper: the name is not of lower-case letters, ",
                       "digits and hyphens");
  }
  const std::string program = "docker-credential-" + helper;
  auto credentials = Run(program, server_url, std::chrono::steady_clock::now() + deadline, stops);
  if (!credentials) return std::move(credentials).error().Wrap("run ", program);
  return credentials;
}

}  // namespace fermata::overlay
