// LayerWriter: makes the directory tree of one layer from tar entries, in the form overlayfs wants.
//
// The tar is hostile. Every parent is resolved by openat2(2) as if the layer's directory were "/", the last
// component is never followed, and metadata is set through descriptors or without following. Whiteouts
// become overlayfs' own (character device 0:0, trusted.overlay.opaque), so a layer needs no other layer to
// be unpacked. Owners, devices, trusted attributes and security.capability need root; without it they are
// left out. Does not own the directory. One thread at a time.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "overlay/disk_usage.h"
#include "overlay/tar_reader.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace fermata::overlay {

struct LayerLimits {
  uint64_t max_bytes = uint64_t{64} << 30;  // of the inflated tar, and of one file's length
  uint64_t max_entries = 4'000'000;
};

class LayerWriter {
 public:
  LayerWriter(int layer_dir, const LayerLimits& limits);

  // The entry at which `tar` stands. kInvalidArgument: an entry that no honest layer has;
  // kResourceExhausted: no space, or less left than the reserve.
  Result<> Add(TarReader& tar);
  // Sets owners, modes and times of the directories, the layer's own too.
  Result<> Finish();
  // A marker of the image specification, which makes no file of its name; by cleaned path.
  static bool IsWhiteout(std::string_view path) { return path.substr(path.rfind('/') + 1).starts_with(".wh."); }
  [[nodiscard]] TreeUsage usage() const { return usage_; }  // nearly what CountTree would say

 private:
  struct Metadata {
    uint32_t uid = 0;
    uint32_t gid = 0;
    mode_t mode = 0755;
    timespec mtime{};
    bool has_mtime = false;
    ino_t inode = 0;  // of a directory: another one may have its name by the end
  };
  struct Place {  // where an entry goes
    int parent = -1;
    std::string name;
    std::string path;  // cleaned, for messages and the directory table
  };

  Result<> AddEntry(TarReader& tar);
  Result<Place> Locate(const std::string& path);
  Result<UniqueFd> OpenParent(const std::string& parent);
  Result<> AddNode(const Place& place, TarReader& tar, const Metadata& metadata);
  Result<> AddWhiteout(const Place& place);
  Result<> AddDirectory(const Place& place, archive_entry* entry, const Metadata& metadata);
  Result<> AddFile(const Place& place, TarReader& tar, const Metadata& metadata);
  Result<> AddHardLink(const Place& place, archive_entry* entry);
  Result<> AddSymlink(const Place& place, archive_entry* entry, const Metadata& metadata);
  Result<> AddSpecial(const Place& place, archive_entry* entry, const Metadata& metadata);
  Result<> Clear(const Place& place);
  Result<> SetOpaque(int directory, const std::string& path);
  Result<> SetAttributes(int fd, archive_entry* entry, const std::string& path);
  Result<> CheckReserve();
  static Result<Metadata> MetadataOf(archive_entry* entry);

  int root_;
  LayerLimits limits_;
  bool privileged_;
  uint64_t entries_ = 0;
  TreeUsage usage_;
  std::string parent_path_;  // of parent_, kept because entries of one directory follow each other
  UniqueFd parent_;
  std::map<std::string, Metadata> directories_;  // by cleaned path; "" is the layer's own
  // What an entry costs does not grow with the entries before it, and with its depth at most linearly.
};

}  // namespace fermata::overlay
