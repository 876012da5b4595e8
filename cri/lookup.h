// From what a client typed to a record: whole ids and unambiguous beginnings of ids, only here.
#pragma once

#include <optional>
#include <string>

#include "runtime/base/result.h"
#include "sandbox/store.h"

namespace fermata::cri {

// Whose objects a service shows. The CRI must not show those of `pods`: kubelet kills pods that it does not know.
struct Visibility {
  bool cri = true;
  bool pods = false;
  [[nodiscard]] bool Shows(sandbox::Owner owner) const { return owner == sandbox::Owner::kCri ? cri : pods; }
};

// nullptr: none. kInvalidArgument when the text begins several ids (it lists them) or is empty.
Result<sandbox::SandboxPtr> FindSandbox(const sandbox::Store& store, const std::string& text, Visibility visibility);
Result<sandbox::ContainerPtr> FindContainer(const sandbox::Store& store, const std::string& text,
                                            Visibility visibility);

// The same, kNotFound if there is none.
Result<sandbox::SandboxPtr> GetSandbox(const sandbox::Store& store, const std::string& text, Visibility visibility);
Result<sandbox::ContainerPtr> GetContainer(const sandbox::Store& store, const std::string& text, Visibility visibility);

// True if the sandbox of the container is shown.
bool Shows(const sandbox::Store& store, const sandbox::ContainerRecord& container, Visibility visibility);

}  // namespace fermata::cri
