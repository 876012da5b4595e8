#include "sandbox/operations.h"

namespace fermata::sandbox {
namespace {
constexpr auto kKeepUnclaimed = std::chrono::seconds(60);
}  // namespace

void OperationTable::DropExpired() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(operations_,
                [&](const auto& entry) { return entry.second->done && now - entry.second->finished > kKeepUnclaimed; });
}

Result<std::string> OperationTable::Join(std::unique_lock<std::mutex>& lock, const std::string& what,
                                         const std::string& name, const std::string& configuration,
                                         const std::shared_ptr<Operation>& operation) {
  if (operation->configuration != configuration) {
    return Error::Make(ErrorCode::kAlreadyExists, what, " ", name,
                       " is being made with another configuration; wait for that to end");
  }
  finished_.wait(lock, [&] { return operation->done; });
  if (const auto found = operations_.find(name); found != operations_.end() && found->second == operation) {
    operations_.erase(found);  // claimed: a further call is a new one
  }
  return operation->result;
}

Result<std::string> OperationTable::Run(const std::string& what, const std::string& name,
                                        const std::string& configuration, const Body& body,
                                        const CallerGone& caller_gone) {
  std::unique_lock lock(mutex_);
  DropExpired();
  if (const auto found = operations_.find(name); found != operations_.end()) {
    const auto operation = found->second;
    if (!operation->done || operation->configuration == configuration) {
      return Join(lock, what, name, configuration, operation);
    }
    operations_.erase(found);  // finished, unclaimed, and not what is wanted now
  }
  const auto operation = std::make_shared<Operation>();
  operation->configuration = configuration;
  operations_[name] = operation;
  lock.unlock();
  Result<std::string> result = body();
  lock.lock();
  operation->result = result;
  operation->done = true;
  operation->finished = std::chrono::steady_clock::now();
  operation->unclaimed = result && caller_gone && caller_gone();
  if (!operation->unclaimed) {
    if (const auto found = operations_.find(name); found != operations_.end() && found->second == operation) {
      operations_.erase(found);
    }
  }
  finished_.notify_all();
  return result;
}

}  // namespace fermata::sandbox
