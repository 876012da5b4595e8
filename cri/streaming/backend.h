// What the streaming server needs of the engine; an interface, so that tests can serve without one.
#pragma once

#include <functional>
#include <vector>

#include "cri/streaming/token_store.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::sandbox {
class ContainerManager;
struct Engine;
}  // namespace fermata::sandbox

namespace fermata::cri::streaming {

class Backend {
 public:
  virtual ~Backend() = default;
  // Begins an exec or an attachment; `done` gets the session's socket, on any thread.
  virtual void Open(const StreamRequest& request, std::function<void(Result<UniqueFd>)> done) = 0;
  // TCP sockets of the pod's network namespace, IPv4 first; `done` on any thread.
  virtual void Sockets(const sandbox::SandboxId& id, std::function<void(Result<std::vector<UniqueFd>>)> done) = 0;
};

// On the engine's task pool: opening may wait. Owns nothing.
class EngineBackend final : public Backend {
 public:
  EngineBackend(sandbox::Engine& engine, sandbox::ContainerManager& containers)
      : engine_(engine), containers_(containers) {}
  void Open(const StreamRequest& request, std::function<void(Result<UniqueFd>)> done) override;
  void Sockets(const sandbox::SandboxId& id, std::function<void(Result<std::vector<UniqueFd>>)> done) override;

 private:
  sandbox::Engine& engine_;
  sandbox::ContainerManager& containers_;
};

}  // namespace fermata::cri::streaming
