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

Result<> EnsureImage(Engine& engine, const std::string& name, PullPolicy policy, const std::vector<std::string>& auths,
                     const std::shared_ptr<const overlay::Cancellation>& cancellation) {
  auto present = engine.images->Get(name);
  const auto reference = overlay::ParseReference(name);
  const bool may_pull = reference && reference->domain != kLocalRegistry && policy != PullPolicy::kNever;
  if (!may_pull) {
    if (!present) return std::move(present).error();  // an id, or a name that is here or nowhere
    return {};
  }
  const bool by_default = policy == PullPolicy::kDefault;
  const bool always = policy == PullPolicy::kAlways || (by_default && IsLatest(*reference));
  if (present && !always) return {};
  auto pulled = engine.puller->Pull(name, {CredentialsFor(*reference, auths), cancellation, {}});
  if (pulled) return {};
  if (present && by_default && pulled.error().code() == ErrorCode::kUnavailable) {
    log::warn("image {}: the one that is here serves: {}", name, pulled.error().message());
    return {};
  }
  return std::move(pulled).error();
}

Result<> EnsureImages(Engine& engine, const PodManifest& pod,
                      const std::shared_ptr<const overlay::Cancellation>& cancellation) {
  for (const auto* list : {&pod.init_containers, &pod.containers}) {
    for (const PodContainer& container : *list) {
      RETURN_IF_ERROR(EnsureImage(engine, container.spec.image, container.pull_policy, pod.pull_auths, cancellation),
                      "container ", container.spec.name);
    }
  }
  for (const PodVolume& volume : pod.volumes) {
    if (volume.kind != PodVolume::Kind::kImage) continue;
    RETURN_IF_ERROR(EnsureImage(engine, volume.image, volume.pull_policy, pod.pull_auths, cancellation), "volume ",
                    volume.name);
  }
  return {};
}

}  // namespace fermata::sandbox::pods
