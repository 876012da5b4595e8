// ManifestDirectory: keeps the pods of the manifests in a directory as their files say: *.yaml and *.yml whose names do
// not begin with a dot. Owns a thread, which waits for inotify; files count when they are closed or moved in.
// Thread-safe.
//
// What a file has made is recorded, so that a new daemon finds what to remove when the file has gone meanwhile. A file
// with an error changes nothing: the pods of its last good content stay. A pod of the same name that was made otherwise
// is an error, too. What does not start, for want of a registry say, is tried again after a while.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "overlay/cancellation.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "sandbox/pods/pod_engine.h"

namespace fermata::sandbox::pods {

class ManifestDirectory {
 public:
  struct File {
    std::string path;
    std::vector<std::string> pods;  // "namespace/name", of its last good content
    std::string error;              // why its present content counts for nothing
  };

  // Makes the directory where it is missing. `record` is a file of ours. The pods are looked at on the thread; the
  // engine outlives this.
  static Result<std::unique_ptr<ManifestDirectory>> Start(PodEngine& pods, std::string directory, std::string record);
  ~ManifestDirectory() { End(); }
  ManifestDirectory(const ManifestDirectory&) = delete;
  ManifestDirectory& operator=(const ManifestDirectory&) = delete;

  // A start that is under way is given up.
  void End();
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::vector<File> Files() const;

 private:
  using Names = std::vector<std::string>;

  ManifestDirectory(PodEngine& pods, std::string directory, std::string record)
      : pods_(pods), directory_(std::move(directory)), record_(std::move(record)) {}
  Result<> Open();
  void LoadRecord();
  void SaveRecord() const;
  void Loop();
  std::set<std::string> ReadEvents(bool& gone) const;
  [[nodiscard]] std::set<std::string> All() const;
  void SyncFile(const std::string& name);
  Result<> ApplyFile(const std::string& name);
  Result<> CheckNames(const std::string& name, const Names& wanted) const;
  void RemovePods(const Names& pods);
  void SetPods(const std::string& name, const Names& pods);
  void SetError(const std::string& name, const std::string& error);
  [[nodiscard]] Names PodsOf(const std::string& name) const;

  PodEngine& pods_;
  const std::string directory_, record_;
  UniqueFd fd_, inotify_, end_;
  std::shared_ptr<overlay::Cancellation> cancellation_;
  std::set<std::string> failed_;       // files to be tried again
  mutable std::mutex mutex_;           // guards files_
  std::map<std::string, File> files_;  // by name
  std::thread thread_;
};

}  // namespace fermata::sandbox::pods
