// `fermata exec` and `fermata attach`: our standard streams become those of a process in a container.
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <iostream>
#include <optional>
#include <thread>

#include "cri/cli/client.h"
#include "cri/cli/commands.h"
#include "cri/cli/terminal.h"
#include "runtime/base/file.h"
#include "runtime/base/unique_fd.h"

namespace fermata::cri::cli {
namespace {

constexpr size_t kReadBytes = size_t{32} << 10;
using Stream = grpc::ClientReaderWriter<fv1::StreamInput, fv1::StreamOutput>;

// One session: a thread takes what comes, this one what is typed and the changes of the terminal's size.
class Session {
 public:
  Session(Stream& stream, grpc::ClientContext& context, bool want_stdin)
      : stream_(stream), context_(context), input_open_(want_stdin), over_(::eventfd(0, EFD_CLOEXEC)) {
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, SIGWINCH);
    signals_.Reset(::signalfd(-1, &mask, SFD_CLOEXEC));
  }

  // The exit status of the process; 0 for one that was left by the keys.
  Result<int> Run() {
    std::thread reader([this] { ReadAll(); });
    Serve();
    if (keys_.detached()) context_.TryCancel();
    reader.join();
    raw_.reset();
    if (keys_.detached()) {
      std::cerr << "\nfermata: detached\n";
      (void)stream_.Finish();
      return 0;
    }
    RETURN_IF_ERROR(ToResult(stream_.Finish()));
    if (!last_.ended()) return Error::Make(ErrorCode::kUnavailable, "the daemon has ended the session");
    if (!last_.error().empty()) return Error::Make(ErrorCode::kInternal, last_.error());
    return last_.exit_code();
  }

 private:
  void ReadAll() {
    fv1::StreamOutput output;
    while (stream_.Read(&output)) {
      if (output.started()) SignalStarted(output.tty());
      const bool written = (output.stdout().empty() || WriteAll(STDOUT_FILENO, output.stdout()).has_value()) &&
                           (output.stderr().empty() || WriteAll(STDERR_FILENO, output.stderr()).has_value());
      if (!written) context_.TryCancel();  // nobody reads us any more
      if (output.ended()) last_ = output;
    }
    Wake(kOver);
  }

  static constexpr uint64_t kStarted = 1, kStartedTty = 1 << 8, kOver = 1 << 16;
  void SignalStarted(bool tty) { Wake(tty ? kStartedTty : kStarted); }
  void Wake(uint64_t what) const { (void)!::write(over_.get(), &what, sizeof what); }

  void Serve() {
    for (;;) {
      std::array<pollfd, 3> wanted = {pollfd{over_.get(), POLLIN, 0}, pollfd{raw_ ? signals_.get() : -1, POLLIN, 0},
                                      pollfd{started_ && input_open_ ? STDIN_FILENO : -1, POLLIN, 0}};
      if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
      if (wanted[0].revents != 0 && !OnWake()) return;
      if (wanted[1].revents != 0) OnResize();
      if (wanted[2].revents != 0) OnInput();
      if (keys_.detached()) return;
    }
  }

  bool OnWake() {
    uint64_t what = 0;
    if (::read(over_.get(), &what, sizeof what) != sizeof what || what >= kOver) return false;
    started_ = true;
    if (what < kStartedTty || ::isatty(STDIN_FILENO) == 0) return true;
    raw_.emplace();
    SendSize();
    return true;
  }

  void OnResize() {
    signalfd_siginfo info;
    (void)!::read(signals_.get(), &info, sizeof info);
    SendSize();
  }

  void SendSize() {
    const auto size = TerminalSize();
    if (!size) return;
    fv1::StreamInput input;
    input.mutable_size()->set_columns(size->first);
    input.mutable_size()->set_rows(size->second);
    (void)stream_.Write(input);
  }

  void OnInput() {
    std::array<char, kReadBytes> buffer;
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    fv1::StreamInput input;
    if (count <= 0) {
      input_open_ = false;
      input.set_stdin_end(true);
    } else {
      const std::string_view typed(buffer.data(), static_cast<size_t>(count));
      *input.mutable_stdin() = raw_ ? keys_.Pass(typed) : std::string(typed);
    }
    (void)stream_.Write(input);  // the reader finds out when nobody is there
  }

  Stream& stream_;
  grpc::ClientContext& context_;
  bool input_open_;
  bool started_ = false;
  UniqueFd over_, signals_;
  DetachKeys keys_;
  std::optional<RawTerminal> raw_;
  fv1::StreamOutput last_;
};

// Before any thread exists: the changes of size are waited for in one place.
void BlockSignals() {
  sigset_t mask;
  ::sigemptyset(&mask);
  ::sigaddset(&mask, SIGWINCH);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  (void)::signal(SIGPIPE, SIG_IGN);
}

Result<int> RunStream(const Global& global, const StreamOptions& options, bool attach) {
  BlockSignals();
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  const auto stream = attach ? client.pods->Attach(&context) : client.pods->ExecStream(&context);
  fv1::StreamInput input;
  fv1::StreamStart& start = *input.mutable_start();
  start.set_pod(options.pod);
  start.set_container(options.container);
  start.set_tty(options.tty);
  start.set_stdin(options.want_stdin);
  for (const std::string& word : options.command) start.add_command(word);
  (void)stream->Write(input);
  return Session(*stream, context, options.want_stdin).Run();
}

}  // namespace

Result<int> ExecStream(const Global& global, const StreamOptions& options) { return RunStream(global, options, false); }
Result<int> Attach(const Global& global, const StreamOptions& options) { return RunStream(global, options, true); }

}  // namespace fermata::cri::cli
