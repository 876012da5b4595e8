#include "overlay/image/resolve.h"

#include <sys/utsname.h>

#include <algorithm>
#include <optional>

#include "overlay/image/reference.h"

namespace fermata::overlay {
namespace {

Error Invalid(std::string_view what, std::string_view reason) {
  return Error::Make(ErrorCode::kInvalidArgument, what, ": ", reason);
}

bool FitsHost(std::string_view os, std::string_view architecture) {
  return os == "linux" && architecture == HostArchitecture();
}

bool MayFitHost(const Descriptor& descriptor) {
  if (descriptor.os.empty() && descriptor.architecture.empty()) return true;  // its configuration will tell
  return FitsHost(descriptor.os, descriptor.architecture);
}

// The manifest for this machine in an index. Only one level: a list of lists has no use but to keep us busy.
Result<Descriptor> ChoosePlatform(const BlobProvider& blobs, const Descriptor& index) {
  ASSIGN_OR_RETURN(const std::string json, ReadBlob(blobs, index));
  ASSIGN_OR_RETURN(const std::vector<Descriptor> entries, ParseIndex(json), index.digest);
  for (const Descriptor& entry : entries) {
    if (entry.kind == MediaKind::kManifest && FitsHost(entry.os, entry.architecture)) return entry;
  }
  if (entries.size() == 1 && entries[0].kind == MediaKind::kManifest && MayFitHost(entries[0])) return entries[0];
  return Invalid(index.digest, "has no image for linux/" + HostArchitecture());
}

Result<NewImage> ReadImage(const BlobProvider& blobs, const Descriptor& target) {
  Descriptor descriptor = target;
  if (target.kind == MediaKind::kIndex) {
    ASSIGN_OR_RETURN(descriptor, ChoosePlatform(blobs, target));
  }
  NewImage image;
  image.target_digest = target.digest;
  image.manifest_digest = descriptor.digest;
  ASSIGN_OR_RETURN(image.manifest_json, ReadBlob(blobs, descriptor));
  ASSIGN_OR_RETURN(image.manifest, ParseManifest(image.manifest_json), descriptor.digest);
  ASSIGN_OR_RETURN(image.config_json, ReadBlob(blobs, image.manifest.config));
  ASSIGN_OR_RETURN(image.config, ParseImageConfig(image.config_json), image.id());
  if (!FitsHost(image.config.os, image.config.architecture)) {
    return Invalid(image.id(), "is for " + image.config.os.substr(0, 64) + "/" +
                                   image.config.architecture.substr(0, 64) + ", this is linux/" + HostArchitecture());
  }
  if (image.config.diff_ids.size() != image.manifest.layers.size()) {
    return Invalid(image.id(), "has " + std::to_string(image.manifest.layers.size()) + " layers and " +
                                   std::to_string(image.config.diff_ids.size()) + " diff ids");
  }
  return image;
}

Result<> AddName(NewImage& image, const Reference& name) {
  if (!name.digest.empty() && name.digest != image.target_digest) {
    return Invalid(name.ToString(), "the image has the digest " + image.target_digest);
  }
  if (!name.tag.empty()) image.tags.push_back(name.Tagged());
  image.digests.push_back(name.Name() + "@" + image.target_digest);
  return {};
}

std::string Annotation(const Descriptor& descriptor, const char* key) {
  const auto found = descriptor.annotations.find(key);
  return found == descriptor.annotations.end() ? "" : found->second;
}

Result<std::optional<Reference>> AnnotatedName(const Descriptor& descriptor) {
  std::string text = Annotation(descriptor, "io.containerd.image.name");
  if (text.empty()) {
    text = Annotation(descriptor, "org.opencontainers.image.ref.name");
    if (text.find_first_of("/:@") == std::string::npos) return std::optional<Reference>();
  }
  ASSIGN_OR_RETURN(Reference name, ParseReference(text), "name of the image in the archive");
  return std::optional<Reference>(std::move(name));
}

void MergeInto(std::vector<NewImage>& images, NewImage image) {
  const auto same = [&](const NewImage& other) { return other.id() == image.id(); };
  const auto known = std::find_if(images.begin(), images.end(), same);
  if (known == images.end()) {
    images.push_back(std::move(image));
    return;
  }
  known->tags.insert(known->tags.end(), image.tags.begin(), image.tags.end());
  known->digests.insert(known->digests.end(), image.digests.begin(), image.digests.end());
}

}  // namespace

const std::string& HostArchitecture() {
  static const std::string architecture = [] {
    utsname machine{};
    if (::uname(&machine) != 0) return std::string("unknown");
    const std::string_view kernel = machine.machine;
    if (kernel == "x86_64") return std::string("amd64");
    if (kernel == "aarch64") return std::string("arm64");
    return std::string(kernel);
  }();
  return architecture;
}

Result<std::vector<NewImage>> ResolveIndex(const BlobProvider& blobs, std::string_view index_json,
                                           const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<Descriptor> entries, ParseIndex(index_json), "index.json");
  std::vector<NewImage> images;
  for (const Descriptor& entry : entries) {
    if (!MayFitHost(entry)) continue;
    ASSIGN_OR_RETURN(NewImage image, ReadImage(blobs, entry));
    if (name.empty()) {
      ASSIGN_OR_RETURN(const std::optional<Reference> annotated, AnnotatedName(entry));
      if (annotated) RETURN_IF_ERROR(AddName(image, *annotated));
    } else {
      ASSIGN_OR_RETURN(const Reference given, ParseReference(name));
      RETURN_IF_ERROR(AddName(image, given));
    }
    MergeInto(images, std::move(image));
  }
  if (images.empty()) return Invalid("index.json", "no image for linux/" + HostArchitecture());
  if (!name.empty() && images.size() > 1) {
    return Invalid("index.json", "holds " + std::to_string(images.size()) + " images, which cannot all be " + name);
  }
  return images;
}

Result<NewImage> ResolveTarget(const BlobProvider& blobs, const Descriptor& target, const Reference& name) {
  ASSIGN_OR_RETURN(NewImage image, ReadImage(blobs, target));
  Reference unambiguous = name;
  if (!name.digest.empty()) unambiguous.tag.clear();
  RETURN_IF_ERROR(AddName(image, unambiguous));
  return image;
}

}  // namespace fermata::overlay
