// A fermatad of its own for a test: temporary directories, a socket, the clients' stubs. One thread at a time.
//
// Nothing here waits a fixed time: it connects, polls a state, or waits for a process, each with a deadline that
// FERMATA_TIME_SCALE multiplies (virtual machines without KVM are ten times slower).
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cri/api/fermata_v1.grpc.pb.h"
#include "cri/api/runtime_v1.grpc.pb.h"
#include "runtime/base/spawn.h"
#include "tests/fixtures/leak_audit.h"
#include "tests/fixtures/time_scale.h"

namespace fermata::testing {

namespace v1 = ::runtime::v1;
namespace fv1 = ::fermata::v1;

// The path of one of the programs that this build has made.
inline std::string BuiltProgram(const std::string& name) { return std::string(FERMATA_BIN_DIR "/") + name; }

// Asks every 5 ms until `done`; false when `limit` (scaled) is over.
bool WaitUntil(const std::function<bool()>& done, std::chrono::milliseconds limit = std::chrono::seconds(20));

std::string ReadText(const std::string& path);  // empty if it cannot be read
void WriteText(const std::string& path, const std::string& text);

// What a program printed, and how it ended: its exit code, or 128+n for signal n.
struct ProgramResult {
  int code = -1;
  std::string out, err;
};

struct ProgramOptions {
  std::string input = {};
  std::vector<std::string> environment = {};
  std::string name = {};  // of its files, which are then appended to; empty: a new one
};

// A program that runs beside the test, its output in files of `directory`.
class Program {
 public:
  Program(const std::string& directory, std::vector<std::string> arguments, ProgramOptions options = {});
  ~Program();  // killed if it still runs
  Program(Program&&) = default;
  Program& operator=(Program&&) = default;

  [[nodiscard]] bool Runs() const { return process_.pidfd.valid() && !process_.pidfd.WaitExited(0); }
  [[nodiscard]] pid_t pid() const { return process_.pid; }
  [[nodiscard]] std::string Out() const { return ReadText(out_); }
  [[nodiscard]] std::string Err() const { return ReadText(err_); }
  void Signal(int signal) const { (void)process_.pidfd.Signal(signal); }
  // Waits for the end; a failure of the test, and a kill, when it does not come.
  ProgramResult Wait(std::chrono::seconds limit = std::chrono::seconds(60));

 private:
  std::string out_, err_;
  SpawnedProcess process_;
};

class Daemon {
 public:
  // Directories below `base`; not started yet.
  explicit Daemon(std::string base);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Starts it and waits until it answers.
  ::testing::AssertionResult Start();
  void Kill9();     // at once, as a crash
  int Terminate();  // SIGTERM; its exit code
  ::testing::AssertionResult Restart() { return Start(); }
  void RemoveAllPods();

  // Imports an archive of image_builder.h.
  ::testing::AssertionResult Import(const std::string& archive, const std::string& name = "");
  grpc::Status TryImport(const std::string& archive, const std::string& name = "");

  // Removes all pods, ends the daemon, and checks: exit status 0, its control groups empty and now gone.
  void End();

  [[nodiscard]] LeakAudit Audit() const;
  // Nothing more than `before`, at the latest in ten seconds (what others do on the machine comes and goes).
  [[nodiscard]] ::testing::AssertionResult NothingLeakedSince(const LeakAudit& before) const;

  [[nodiscard]] std::string operator/(const std::string& name) const { return base_ + "/" + name; }
  [[nodiscard]] const std::string& base() const { return base_; }
  [[nodiscard]] std::string socket() const { return base_ + "/fermata.sock"; }
  [[nodiscard]] std::string data_dir() const { return base_ + "/" + data_name; }
  [[nodiscard]] std::string run_dir() const { return base_ + "/run"; }
  [[nodiscard]] std::string cgroup_root() const;  // absolute
  [[nodiscard]] pid_t pid() const { return program_ == nullptr ? 0 : program_->pid(); }
  [[nodiscard]] std::string Log() const;
  // The command line of fermatad for these directories.
  [[nodiscard]] std::vector<std::string> CommandLine() const;

  std::vector<std::string> environment;  // of the program, besides PATH
  std::string data_name = "data";

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::RuntimeService::Stub> runtime;
  std::unique_ptr<v1::ImageService::Stub> images;
  std::unique_ptr<fv1::Pods::Stub> pods;
  std::unique_ptr<fv1::Images::Stub> own_images;
  std::unique_ptr<fv1::Network::Stub> network;
  std::unique_ptr<fv1::System::Stub> system;

 private:
  void RemoveGroups();

  std::string base_;
  std::unique_ptr<Program> program_;
};

// True where these tests can run; else prints why.
bool CanRun();

}  // namespace fermata::testing
