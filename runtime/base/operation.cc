#include "runtime/base/operation.h"

#include <algorithm>
#include <array>
#include <mutex>

namespace fermata {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;

constexpr size_t kMaxStages = 32;  // of one operation, that are kept
constexpr std::array kNames = {"sandbox", "container", "pod", "image"};

std::mutex all_mutex;  // guards the list and what is in its members
Operation* all = nullptr;

thread_local const About* innermost = nullptr;
thread_local Operation* current = nullptr;

const char* NameOf(About::What what) { return kNames[static_cast<size_t>(what)]; }

// Of two of a kind the later one.
void Put(std::vector<std::pair<const char*, std::string>>& ids, const char* name, const std::string& id) {
  const auto same = std::find_if(ids.begin(), ids.end(), [&](const auto& one) { return one.first == name; });
  if (same != ids.end()) {
    same->second = id;
  } else {
    ids.emplace_back(name, id);
  }
}

}  // namespace

About::About(What what, std::string_view id) : what_(what), id_(id), outer_(innermost) {
  innermost = this;
  if (current == nullptr) return;
  const std::lock_guard lock(all_mutex);
  Put(current->ids_, NameOf(what_), id_);
}

About::~About() { innermost = outer_; }

std::vector<std::pair<const char*, std::string>> About::All() {
  std::vector<const About*> chain;
  for (const About* about = innermost; about != nullptr; about = about->outer_) chain.push_back(about);
  std::vector<std::pair<const char*, std::string>> ids;
  for (size_t i = chain.size(); i-- > 0;) Put(ids, NameOf(chain[i]->what_), chain[i]->id_);
  // A line at the end of an operation is about what it was about, though those who knew have gone.
  if (current == nullptr || !ids.empty()) return ids;
  const std::lock_guard lock(all_mutex);
  return current->ids_;
}

Operation::Operation(const char* name, Clock::time_point begin) : name_(name), begin_(begin), outer_(current) {
  current = this;
  const std::lock_guard lock(all_mutex);
  next_ = all;
  if (all != nullptr) all->previous_ = this;
  all = this;
}

Operation::~Operation() {
  current = outer_;
  const std::lock_guard lock(all_mutex);
  (previous_ != nullptr ? previous_->next_ : all) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

Operation* Operation::Current() { return current; }

void Operation::BePatient() {
  const std::lock_guard lock(all_mutex);
  patient_ = true;
}

OperationReport Operation::ReportLocked() const {
  return {.name = name_,
          .stage = stage_,
          .path = path_,
          .ids = ids_,
          .age = duration_cast<microseconds>(Clock::now() - begin_),
          .patient = patient_,
          .stages = stages_};
}

OperationReport Operation::Report() const {
  const std::lock_guard lock(all_mutex);
  return ReportLocked();
}

OperationStage::OperationStage(std::string_view name, std::string_view path)
    : operation_(current), begin_(Operation::Clock::now()) {
  if (operation_ == nullptr) return;
  const std::lock_guard lock(all_mutex);
  outer_stage_ = std::exchange(operation_->stage_, std::string(name));
  outer_path_ = std::exchange(operation_->path_, std::string(path));
}

OperationStage::~OperationStage() {
  if (operation_ == nullptr) return;
  const auto took = duration_cast<microseconds>(Operation::Clock::now() - begin_);
  const std::lock_guard lock(all_mutex);
  std::string name = std::exchange(operation_->stage_, std::move(outer_stage_));
  const std::string path = std::exchange(operation_->path_, std::move(outer_path_));
  if (operation_->stages_.size() == kMaxStages) return;
  if (!path.empty()) name += " " + path;
  operation_->stages_.push_back({std::move(name), took});
}

std::vector<OperationReport> Operations() {
  std::vector<OperationReport> reports;
  {
    const std::lock_guard lock(all_mutex);
    for (const Operation* operation = all; operation != nullptr; operation = operation->next_) {
      reports.push_back(operation->ReportLocked());
    }
  }
  std::sort(reports.begin(), reports.end(),
            [](const OperationReport& a, const OperationReport& b) { return a.age > b.age; });
  return reports;
}

}  // namespace fermata
