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

Result<> EnsureImage(Engine& engine, const ImageWish& wish, const std::vector<std::string>& auths,
                     const std::shared_ptr<const overlay::Cancellation>& cancellation, const ToldOfImage& told) {
  const std::string& name = wish.image;
  auto present = engine.images->Get(name);
  const auto reference = overlay::ParseReference(name);
  const bool may_pull = reference && reference->domain != kLocalRegistry && wish.policy != PullPolicy::kNever;
  const bool by_default = wish.policy == PullPolicy::kDefault;
  const bool always = wish.policy == PullPolicy::kAlways || (by_default && may_pull && IsLatest(*reference));
  if (!may_pull && !present) return std::move(present).error();  // an id, or a name that is here or nowhere
  const auto tell = [&](EventType type, const std::string& reason, const std::string& message) {
    told({type, reason, message, wish.container});
  };
  if (!may_pull || (present && !always)) {
    tell(EventType::kNormal, "Pulled", "Container image \"" + name + "\" already present on machine");
    return {};
  }
  tell(EventType::kNormal, "Pulling", "Pulling image \"" + name + "\"");
  const auto begin = std::chrono::steady_clock::now();
  auto pulled = engine.puller->Pull(name, {CredentialsFor(*reference, auths), cancellation, {}});
  if (pulled) {
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    tell(EventType::kNormal, "Pulled",
         "Successfully pulled image \"" + name + "\" in " + std::to_string(took.count()) + " ms");
    return {};
  }
  if (present && by_default && pulled.error().code() == ErrorCode::kUnavailable) {
    log::warn("image {}: the one that is here serves: {}", name, pulled.error().message());
    tell(EventType::kWarning, "Failed",
         "Pulling image \"" + name + "\": the one that is here serves: " + pulled.error().message());
    return {};
  }
  return std::move(pulled).error();
}

Result<> EnsureImages(Engine& engine, const PodManifest& pod,
                      const std::shared_ptr<const overlay::Cancellation>& cancellation, const ToldOfImage& told) {
  for (const auto* list : {&pod.init_containers, &pod.containers}) {
    for (const PodContainer& container : *list) {
      const ImageWish wish{container.spec.image, container.pull_policy, container.spec.name};
      RETURN_IF_ERROR(EnsureImage(engine, wish, pod.pull_auths, cancellation, told), "container ", container.spec.name);
    }
  }
  for (const PodVolume& volume : pod.volumes) {
    if (volume.kind != PodVolume::Kind::kImage) continue;
    RETURN_IF_ERROR(EnsureImage(engine, {volume.image, volume.pull_policy, ""}, pod.pull_auths, cancellation, told),
                    "volume ", volume.name);
  }
  return {};
}

}  // namespace fermata::sandbox::pods
