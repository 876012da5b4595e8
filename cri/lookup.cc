#include "cri/lookup.h"

#include <functional>
#include <vector>

namespace fermata::cri {
namespace {

using sandbox::ContainerId;
using sandbox::ContainerPtr;
using sandbox::SandboxId;
using sandbox::SandboxPtr;
using sandbox::Store;

constexpr size_t kFullLength = 64;

// The one of `all` that is shown and whose id begins with `text`.
template <typename Pointer>
Result<Pointer> ByPrefix(const std::vector<Pointer>& all, const std::string& text, std::string_view kind,
                         const std::function<bool(const Pointer&)>& shown) {
  Pointer found;
  std::string matches;
  for (const Pointer& record : all) {
    if (!record->id.str().starts_with(text) || !shown(record)) continue;
    matches += (matches.empty() ? "" : ", ") + record->id.str();
    if (found != nullptr) continue;
    found = record;
  }
  if (matches.size() > kFullLength) {
    return Error::Make(ErrorCode::kInvalidArgument, kind, " id ", text, " is ambiguous: ", matches);
  }
  return found;
}

Error Empty(std::string_view kind) { return Error::Make(ErrorCode::kInvalidArgument, kind, " id is empty"); }
Error NotFound(std::string_view kind, const std::string& text) {
  return Error::Make(ErrorCode::kNotFound, kind, " ", text, " does not exist");
}

bool ShowsSandbox(const SandboxPtr& record, Visibility visibility) {
  return record != nullptr && record->state != sandbox::SandboxState::kCreating && visibility.Shows(record->spec.owner);
}

}  // namespace

bool Shows(const Store& store, const sandbox::ContainerRecord& container, Visibility visibility) {
  return ShowsSandbox(store.Find(container.sandbox), visibility);
}

Result<SandboxPtr> FindSandbox(const Store& store, const std::string& text, Visibility visibility) {
  if (text.empty()) return Empty("pod sandbox");
  if (text.size() == kFullLength) {
    SandboxPtr record = store.Find(SandboxId(text));
    return ShowsSandbox(record, visibility) ? record : nullptr;
  }
  return ByPrefix<SandboxPtr>(store.Sandboxes(), text, "pod sandbox",
                              [&](const SandboxPtr& record) { return ShowsSandbox(record, visibility); });
}

Result<ContainerPtr> FindContainer(const Store& store, const std::string& text, Visibility visibility) {
  if (text.empty()) return Empty("container");
  if (text.size() == kFullLength) {
    ContainerPtr record = store.Find(ContainerId(text));
    return record != nullptr && Shows(store, *record, visibility) ? record : nullptr;
  }
  return ByPrefix<ContainerPtr>(store.Containers(), text, "container",
                                [&](const ContainerPtr& record) { return Shows(store, *record, visibility); });
}

Result<SandboxPtr> GetSandbox(const Store& store, const std::string& text, Visibility visibility) {
  ASSIGN_OR_RETURN(SandboxPtr record, FindSandbox(store, text, visibility));
  if (record == nullptr) return NotFound("pod sandbox", text);
  return record;
}

Result<ContainerPtr> GetContainer(const Store& store, const std::string& text, Visibility visibility) {
  ASSIGN_OR_RETURN(ContainerPtr record, FindContainer(store, text, visibility));
  if (record == nullptr) return NotFound("container", text);
  return record;
}

}  // namespace fermata::cri
