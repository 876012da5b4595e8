// Test images made on the fly: tars with arbitrary entries, layers, OCI layouts and OCI archives.
// Header only, for tests of all folders (link PkgConfig::ARCHIVE and PkgConfig::ZSTD). Keeps nothing on disk; failures
// inside end the program (a test fixture has nothing better to do). One thread at a time uses a builder; the functions
// keep no state.
//
//   ImageSpec spec;
//   spec.layers = {{.entries = {Directory("bin"), File("bin/hello", "#!/bin/sh\n", 0755)}}};
//   std::string archive = OciArchiveOf({spec});          // bytes of a tar for ImageStore::Import
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "overlay/digest.h"
#include "overlay/image/resolve.h"
#include "runtime/base/json.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay::testing {

// One tar entry. `type` is one of AE_IFREG, AE_IFDIR, AE_IFLNK, AE_IFCHR, AE_IFBLK, AE_IFIFO.
struct TarEntry {
  std::string path;
  unsigned type = AE_IFREG;
  mode_t mode = 0644;
  std::string data;      // of a file
  std::string link;      // target of a symbolic link
  std::string hardlink;  // not empty: a hard link to this path
  int64_t uid = 0, gid = 0;
  dev_t device = 0;
  int64_t mtime = 1'000'000'000;
  std::map<std::string, std::string> xattrs;
  int64_t hole_bytes = 0;  // a hole before `data`
};

inline TarEntry File(std::string path, std::string data, mode_t mode = 0644) {
  TarEntry entry;
  entry.path = std::move(path);
  entry.data = std::move(data);
  entry.mode = mode;
  return entry;
}
inline TarEntry Directory(std::string path, mode_t mode = 0755) {
  TarEntry entry = File(std::move(path), "", mode);
  entry.type = AE_IFDIR;
  return entry;
}
inline TarEntry Symlink(std::string path, std::string target) {
  TarEntry entry = File(std::move(path), "", 0777);
  entry.type = AE_IFLNK;
  entry.link = std::move(target);
  return entry;
}
inline TarEntry HardLink(std::string path, std::string target) {
  TarEntry entry = File(std::move(path), "");
  entry.hardlink = std::move(target);
  return entry;
}
inline TarEntry Node(std::string path, unsigned type, unsigned major = 0, unsigned minor = 0, mode_t mode = 0644) {
  TarEntry entry = File(std::move(path), "", mode);
  entry.type = type;
  entry.device = makedev(major, minor);
  return entry;
}
inline TarEntry OwnedBy(TarEntry entry, int64_t uid, int64_t gid) {
  entry.uid = uid;
  entry.gid = gid;
  return entry;
}

enum class Compression { kNone, kGzip, kZstd };

namespace builder_internal {

inline void Check(bool fine) {
  if (!fine) std::abort();
}

inline la_ssize_t AppendBytes(archive* /*handle*/, void* output, const void* data, size_t size) {
  static_cast<std::string*>(output)->append(static_cast<const char*>(data), size);
  return static_cast<la_ssize_t>(size);
}

inline void WriteEntry(archive* handle, const TarEntry& from) {
  archive_entry* entry = archive_entry_new();
  archive_entry_set_pathname(entry, from.path.c_str());
  archive_entry_set_filetype(entry, from.type);
  archive_entry_set_perm(entry, from.mode);
  archive_entry_set_uid(entry, from.uid);
  archive_entry_set_gid(entry, from.gid);
  archive_entry_set_mtime(entry, from.mtime, 0);
  const int64_t size = from.hole_bytes + static_cast<int64_t>(from.data.size());
  if (from.type == AE_IFREG && from.hardlink.empty()) archive_entry_set_size(entry, size);
  if (from.type == AE_IFLNK) archive_entry_set_symlink(entry, from.link.c_str());
  if (!from.hardlink.empty()) archive_entry_set_hardlink(entry, from.hardlink.c_str());
  if (from.type == AE_IFCHR || from.type == AE_IFBLK) archive_entry_set_rdev(entry, from.device);
  for (const auto& [name, value] : from.xattrs) {
    archive_entry_xattr_add_entry(entry, name.c_str(), value.data(), value.size());
  }
  if (from.hole_bytes > 0)
    archive_entry_sparse_add_entry(entry, from.hole_bytes, static_cast<int64_t>(from.data.size()));
  Check(archive_write_header(handle, entry) >= ARCHIVE_WARN);
  if (from.hole_bytes > 0) {
    const std::string hole(static_cast<size_t>(from.hole_bytes), '\0');
    Check(archive_write_data(handle, hole.data(), hole.size()) >= 0);
  }
  if (!from.data.empty()) Check(archive_write_data(handle, from.data.data(), from.data.size()) >= 0);
  archive_entry_free(entry);
}

// A raw stream through one of libarchive's compressors.
inline std::string GzipOf(const std::string& data) {
  std::string packed;
  archive* handle = archive_write_new();
  Check(archive_write_set_format_raw(handle) == ARCHIVE_OK && archive_write_add_filter_gzip(handle) == ARCHIVE_OK);
  archive_write_set_bytes_in_last_block(handle, 1);
  Check(archive_write_open(handle, &packed, nullptr, &AppendBytes, nullptr) == ARCHIVE_OK);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  Check(archive_write_header(handle, entry) == ARCHIVE_OK);
  if (!data.empty()) Check(archive_write_data(handle, data.data(), data.size()) >= 0);
  archive_entry_free(entry);
  Check(archive_write_close(handle) == ARCHIVE_OK);
  archive_write_free(handle);
  return packed;
}

inline std::string ZstdOf(const std::string& data) {
  std::string packed(ZSTD_compressBound(data.size()), '\0');
  const size_t size = ZSTD_compress(packed.data(), packed.size(), data.data(), data.size(), 1);
  Check(ZSTD_isError(size) == 0);
  packed.resize(size);
  return packed;
}

}  // namespace builder_internal

// A pax tar (ustar where that is enough) with its end mark.
inline std::string TarOf(const std::vector<TarEntry>& entries) {
  std::string tar;
  archive* handle = archive_write_new();
  builder_internal::Check(archive_write_set_format_pax_restricted(handle) == ARCHIVE_OK);
  (void)archive_write_set_options(handle, "hdrcharset=BINARY");
  archive_write_set_bytes_in_last_block(handle, 1);
  builder_internal::Check(archive_write_open(handle, &tar, nullptr, &builder_internal::AppendBytes, nullptr) ==
                          ARCHIVE_OK);
  for (const TarEntry& entry : entries) builder_internal::WriteEntry(handle, entry);
  builder_internal::Check(archive_write_close(handle) == ARCHIVE_OK);
  archive_write_free(handle);
  return tar;
}

inline std::string Compress(const std::string& data, Compression compression) {
  if (compression == Compression::kGzip) return builder_internal::GzipOf(data);
  if (compression == Compression::kZstd) return builder_internal::ZstdOf(data);
  return data;
}

struct LayerSpec {
  std::vector<TarEntry> entries = {};
  Compression compression = Compression::kGzip;
  std::string tar = {};         // instead of entries
  std::string media_type = {};  // instead of the right one
};

struct ImageSpec {
  std::vector<LayerSpec> layers = {};  // bottom first
  std::string name = {};               // org.opencontainers.image.ref.name; empty: none
  Json run = Json::object();           // "config" of the configuration: Env, Cmd, User, ...
  std::string architecture = HostArchitecture();
  std::string os = "linux";
};

// An image layout in memory: blobs and index. Change it before Archive() to make bad input.
class LayoutBuilder {
 public:
  // Adds config, layers and manifest; gives the descriptor of the manifest, not yet in the index.
  Json AddImage(const ImageSpec& spec) {
    Json layers = Json::array();
    Json diff_ids = Json::array();
    for (const LayerSpec& layer : spec.layers) {
      const std::string tar = layer.tar.empty() ? TarOf(layer.entries) : layer.tar;
      diff_ids.push_back(DigestOf(tar));
      layers.push_back(AddBlob(Compress(tar, layer.compression), MediaTypeOf(layer)));
    }
    const Json config = {{"architecture", spec.architecture},
                         {"os", spec.os},
                         {"config", spec.run},
                         {"rootfs", {{"type", "layers"}, {"diff_ids", diff_ids}}}};
    return AddManifest(config, layers);
  }
  Json AddManifest(const Json& config, const Json& layers) {
    const Json manifest = {{"schemaVersion", 2},
                           {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                           {"config", AddBlob(config.dump(), "application/vnd.oci.image.config.v1+json")},
                           {"layers", layers}};
    return AddBlob(manifest.dump(), "application/vnd.oci.image.manifest.v1+json");
  }
  Json AddBlob(const std::string& data, const std::string& media_type) {
    const std::string digest = DigestOf(data);
    blobs[HexOf(digest)] = data;
    return {{"mediaType", media_type}, {"digest", digest}, {"size", data.size()}};
  }
  // Adds an index of manifests; gives its descriptor.
  Json AddIndex(const std::vector<Json>& manifests) {
    const Json index = {{"schemaVersion", 2}, {"manifests", manifests}};
    return AddBlob(index.dump(), "application/vnd.oci.image.index.v1+json");
  }
  void AddToIndex(Json descriptor, const std::string& name) {
    if (!name.empty()) descriptor["annotations"]["org.opencontainers.image.ref.name"] = name;
    index["manifests"].push_back(std::move(descriptor));
  }

  [[nodiscard]] std::string Archive() const {
    std::vector<TarEntry> entries = {File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})")};
    entries.push_back(Directory("blobs"));
    entries.push_back(Directory("blobs/sha256"));
    for (const auto& [hex, data] : blobs) entries.push_back(File("blobs/sha256/" + hex, data));
    entries.push_back(File("index.json", index.dump()));
    return TarOf(entries);
  }

  std::map<std::string, std::string> blobs;  // by hex digest
  Json index = {{"schemaVersion", 2}, {"manifests", Json::array()}};

 private:
  static std::string MediaTypeOf(const LayerSpec& layer) {
    if (!layer.media_type.empty()) return layer.media_type;
    const std::string tar = "application/vnd.oci.image.layer.v1.tar";
    if (layer.compression == Compression::kGzip) return tar + "+gzip";
    return layer.compression == Compression::kZstd ? tar + "+zstd" : tar;
  }
};

inline std::string OciArchiveOf(const std::vector<ImageSpec>& images) {
  LayoutBuilder builder;
  for (const ImageSpec& image : images) builder.AddToIndex(builder.AddImage(image), image.name);
  return builder.Archive();
}

// A memory file with `data`, at its beginning: what Import takes as a seekable archive.
inline UniqueFd MemoryFile(const std::string& data) {
  UniqueFd fd(::memfd_create("archive", MFD_CLOEXEC));
  builder_internal::Check(fd.valid());
  for (size_t done = 0; done < data.size();) {
    const ssize_t count = ::write(fd.get(), data.data() + done, data.size() - done);
    builder_internal::Check(count > 0);
    done += static_cast<size_t>(count);
  }
  builder_internal::Check(::lseek(fd.get(), 0, SEEK_SET) == 0);
  return fd;
}

}  // namespace fermata::overlay::testing
