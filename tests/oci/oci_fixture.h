// A bundle of busybox in a temporary directory, and fermata-oci as the program that runs it. What a test starts is gone
// at its end, also when it fails, and must be gone before.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/spawn.h"
#include "tests/fixtures/root_environment.h"
#include "tests/fixtures/temporary.h"

namespace fermata::testing {

struct Outcome {
  int code = -1;
  std::string out, err;
};

// What there is on the machine that a container could leave: mounts, control groups, processes in them, files.
struct Remains {
  std::vector<std::string> mounts, groups, processes, files, descriptors;
  bool operator==(const Remains&) const = default;
};
void PrintTo(const Remains& remains, std::ostream* out);

class OciTest : public ::testing::Test {
 protected:
  using Words = std::vector<std::string>;

  void SetUp() override;
  void TearDown() override;

  // Paths of the temporary directory, and of the container's root.
  [[nodiscard]] std::string Path(const std::string& name) const { return *directory_ / name; }
  [[nodiscard]] std::string InRoot(const std::string& name) const { return Path("bundle/rootfs/" + name); }
  [[nodiscard]] std::string root_directory() const { return Path("root"); }
  // Of the container: its name for cgroupsPath, and its directory.
  [[nodiscard]] std::string group() const { return group_; }
  [[nodiscard]] std::string GroupDirectory() const { return Cgroup2Mount() + group_; }

  // fermata-oci with these arguments, to its end; `extra`: descriptors that become 3 and following.
  Outcome Oci(const Words& arguments, const std::vector<int>& extra = {});
  // The same without waiting; its standard streams are given.
  Result<SpawnedProcess> Begin(const Words& arguments, int in, int out, int err, const std::vector<int>& extra = {});
  // `config` becomes config.json of the bundle.
  void WriteConfig();
  Outcome Create(const Words& more = {}, const std::string& id = "c");
  // run of `script` by the container's shell.
  Outcome RunScript(const std::string& script, const Words& more = {});
  void SetScript(const std::string& script) { config["process"]["args"] = {"/bin/sh", "-c", script}; }
  // Creates and starts a container that waits until it is killed.
  void StartSleeper(const std::string& id = "c");

  std::string StatusOf(const std::string& id = "c");
  pid_t PidOf(const std::string& id = "c");
  // Waits for the end of the container's process.
  void AwaitEnd(const std::string& id = "c");
  // A named pipe in the container's root, and the first line that comes out of it.
  void MakeFifo(const std::string& name);
  std::string ReadFifo(const std::string& name);

  Remains Look() const;

  Json config;

 private:
  void KillAll();

  std::unique_ptr<TemporaryDirectory> directory_;
  std::string group_;
  Remains before_;
};

std::string Slurp(const std::string& path);
void Spill(const std::string& path, const std::string& text, mode_t mode = 0644);

}  // namespace fermata::testing
