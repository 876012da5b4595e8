#include "cri/streaming/backend.h"

#include "sandbox/container_manager.h"
#include "sandbox/engine.h"

namespace fermata::cri::streaming {

void EngineBackend::Open(const StreamRequest& request, std::function<void(Result<UniqueFd>)> done) {
  engine_.tasks.Post([this, request, done = std::move(done)] {
    if (request.method == Method::kExec) {
      done(containers_.OpenExec(request.container,
                                {.command = request.command, .tty = request.tty, .want_stdin = request.want_stdin}));
    } else {
      done(containers_.Attach(request.container, {.tty = request.tty,
                                                  .want_stdin = request.want_stdin,
                                                  .want_stdout = request.want_stdout,
                                                  .want_stderr = request.want_stderr}));
    }
  });
}

void EngineBackend::Sockets(const sandbox::SandboxId& id, std::function<void(Result<std::vector<UniqueFd>>)> done) {
  engine_.tasks.Post([this, id, done = std::move(done)] { done(sandbox::PodSockets(engine_, id)); });
}

}  // namespace fermata::cri::streaming
