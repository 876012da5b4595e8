#include "sandbox/pods/pod_images.h"

#include "overlay/image/reference.h"
#include "overlay/registry/auth_file.h"
#include "runtime/base/log.h"

namespace fermata::sandbox::pods {
namespace {

constexpr const char* kLocalRegistry = "localhost";

bool IsLatest(const overlay::Reference& reference) { return reference.digest.empty() && reference.tag == "latest"; }

std::optional<overlay::Credentials> CredentialsFor(const overlay::Reference& reference,
                                                   const std::vector<std::string>& auths) {
  for (const std::string& text : auths) {
    const auto file = overlay::ParseAuthFile(text, "imagePullSecrets");
    if (!file) continue;  // was looked at with the manifest
    auto choice = overlay::ChooseAuth(*file, {reference.domain, reference.repository});
    if (choice.credentials) return std::move(choice.credentials);
  }
  return std::nullopt;
}

}  // namespace

Result<> EnsureImage(Engine& engine, const PodContainer& container, const std::vector<std::string>& auths,
                     const std::shared_ptr<const overlay::Cancellation>& cancellation) {
  const std::string& name = container.spec.image;
  auto present = engine.images->Get(name);
  const auto reference = overlay::ParseReference(name);
  const bool may_pull = reference && reference->domain != kLocalRegistry && container.pull_policy != PullPolicy::kNever;
  if (!may_pull) {
    if (!present) return std::move(present).error();  // an id, or a name that is here or nowhere
    return {};
  }
  const bool by_default = container.pull_policy == PullPolicy::kDefault;
  const bool always = container.pull_policy == PullPolicy::kAlways || (by_default && IsLatest(*reference));
  if (present && !always) return {};
  auto pulled = engine.puller->Pull(name, {CredentialsFor(*reference, auths), cancellation, {}});
  if (pulled) return {};
  if (present && by_default && pulled.error().code() == ErrorCode::kUnavailable) {
    log::warn("image {}: the one that is here serves: {}", name, pulled.error().message());
    return {};
  }
  return std::move(pulled).error();
}

}  // namespace fermata::sandbox::pods
