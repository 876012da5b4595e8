// Image: what is known of one image, and Catalog: all images at one moment. Both never change once made, so
// any thread reads them without a lock.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "overlay/image/config.h"
#include "runtime/base/result.h"

namespace fermata::overlay {

struct Image {
  std::string id;                         // "sha256:<digest of the configuration>"
  std::vector<std::string> repo_tags;     // "docker.io/library/busybox:latest"; sorted
  std::vector<std::string> repo_digests;  // "docker.io/library/busybox@sha256:..."; sorted
  uint64_t size_bytes = 0;                // compressed layers and configuration, as the manifest says
  ImageConfig config;
  std::string config_json;
  std::vector<std::string> layers;  // names of directories, bottom first; each once
  std::string manifest_digest;
  bool pinned = false;
  int64_t created_at_ns = 0;  // when it came into the store
};
using ImagePtr = std::shared_ptr<const Image>;

class Catalog {
 public:
  Catalog() = default;
  explicit Catalog(std::vector<ImagePtr> images);

  // By id with or without "sha256:", by tag, digest or short name, or, where no name fits, by the beginning
  // of an id. kNotFound; kInvalidArgument for text that is none of these or the beginning of several ids.
  [[nodiscard]] Result<ImagePtr> Get(std::string_view reference) const;
  [[nodiscard]] ImagePtr FindId(const std::string& id) const;
  [[nodiscard]] std::vector<ImagePtr> List() const;  // by id

  // A catalog with `images` too. One that is known keeps its names and age and gets the new names; a name
  // moves away from the image that had it.
  [[nodiscard]] Catalog With(std::vector<Image> images) const;
  [[nodiscard]] Catalog Without(const std::string& id) const;
  [[nodiscard]] Catalog WithoutName(const std::string& name) const;

 private:
  [[nodiscard]] Result<ImagePtr> GetByPrefix(std::string_view hex, std::string_view reference) const;

  std::map<std::string, ImagePtr> by_id_;
  std::map<std::string, ImagePtr> by_name_;  // tags and digests
};

}  // namespace fermata::overlay
