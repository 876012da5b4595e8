// What this thread is doing, and for which sandbox, container or image: log lines carry it (log.h), `fermata debug
// dump` lists it, and an operation that took long says where. Objects on the stack of the thread that does the work; a
// lock is held for some instructions only. Thread-safe where other threads look (Operations).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fermata {

// The names under which ids go into log lines; the value is the name there.
struct About {
  enum class What : uint8_t { kSandbox, kContainer, kPod, kImage };
  // As long as it lives, log lines of this thread name `id`, and so does the operation under way.
  About(What what, std::string_view id);
  ~About();
  About(const About&) = delete;
  About& operator=(const About&) = delete;

  // Of this thread, outermost first; of two of a kind the inner one. ("sandbox", id)
  static std::vector<std::pair<const char*, std::string>> All();

 private:
  const What what_;
  const std::string id_;
  const About* const outer_;
};

struct OperationReport {
  struct Stage {
    std::string name;
    std::chrono::microseconds took{0};
  };
  std::string name, stage, path;  // path: what the stage is working on; may be empty
  std::vector<std::pair<const char*, std::string>> ids;
  std::chrono::microseconds age{0};
  bool patient = false;
  std::vector<Stage> stages;  // that have ended
};

class Operation {
 public:
  using Clock = std::chrono::steady_clock;

  // `name` is a literal. One within another one is reported too.
  explicit Operation(const char* name, Clock::time_point begin = Clock::now());
  ~Operation();
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // It waits for something that its caller wants to wait for (a command, a grace period): is never called slow.
  void BePatient();
  [[nodiscard]] OperationReport Report() const;
  // The innermost one of this thread; nullptr: none.
  static Operation* Current();

 private:
  friend struct About;
  friend class OperationStage;
  friend std::vector<OperationReport> Operations();
  [[nodiscard]] OperationReport ReportLocked() const;

  const char* const name_;
  const Clock::time_point begin_;
  Operation* const outer_;
  // All that follows is guarded by one lock of all operations.
  std::string stage_, path_;
  std::vector<std::pair<const char*, std::string>> ids_;
  std::vector<OperationReport::Stage> stages_;
  bool patient_ = false;
  Operation* previous_ = nullptr;
  Operation* next_ = nullptr;
};

// A part of the operation of this thread, for as long as it lives; nothing where there is none. `path` is what it works
// on: a program, a file, an image.
class OperationStage {
 public:
  explicit OperationStage(std::string_view name, std::string_view path = {});
  ~OperationStage();
  OperationStage(const OperationStage&) = delete;
  OperationStage& operator=(const OperationStage&) = delete;

 private:
  Operation* const operation_;
  const Operation::Clock::time_point begin_;
  std::string outer_stage_, outer_path_;
};

// All that are under way, oldest first.
std::vector<OperationReport> Operations();

}  // namespace fermata
