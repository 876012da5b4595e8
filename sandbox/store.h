// Store: all sandboxes and containers. Held in memory for readers, in state.db for the next daemon.
//
// Thread-safe. Reads never touch the disk. A Put or Erase returns when one writer thread has committed it (no
// fsync: synchronous=NORMAL; it survives a kill of the daemon, not a power failure, after which no process
// lives anyway); only then do readers see it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/sqlite.h"
#include "sandbox/events/event.h"
#include "sandbox/types.h"

namespace fermata::sandbox {

class Store {
 public:
  // Loads everything. One damaged record does not stop it: it is moved to the table `quarantine` and named in
  // problems().
  static Result<std::unique_ptr<Store>> Open(const std::string& path);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

  // Called for every change, in their order, before who made it goes on; with the lock of the readers held: it must
  // neither block nor come back. Set before the first change.
  using Observer = std::function<void(const RecordChange&)>;
  void SetObserver(Observer observer) { observer_ = std::move(observer); }

  [[nodiscard]] SandboxPtr Find(const SandboxId& id) const;  // nullptr: none
  [[nodiscard]] ContainerPtr Find(const ContainerId& id) const;
  [[nodiscard]] std::vector<SandboxPtr> Sandboxes() const;  // by id; one moment
  [[nodiscard]] std::vector<ContainerPtr> Containers() const;
  [[nodiscard]] std::vector<ContainerPtr> ContainersOf(const SandboxId& id) const;

  Result<> Put(SandboxRecord record);
  Result<> Put(ContainerRecord record);
  Result<> Erase(const SandboxId& id);
  Result<> Erase(const ContainerId& id);
  // Changes the record as it is now, and gives it as it became. kNotFound if it is gone, or goes meanwhile: an Erase
  // that comes between is not undone.
  Result<ContainerPtr> Update(const ContainerId& id, const std::function<void(ContainerRecord&)>& change);
  Result<SandboxPtr> Update(const SandboxId& id, const std::function<void(SandboxRecord&)>& change);

 private:
  struct Write {
    const char* sql = nullptr;  // a statement with ?1 = id, ?2 = record
    std::string id, record;
    std::function<void()> publish;  // with mutex_ held, after the commit
    Result<>* result = nullptr;
    bool done = false;
  };

  explicit Store(Database database) : database_(std::move(database)) {}
  Result<> Load();
  Result<> Quarantine(const std::string& table, const std::string& id, const Error& error);
  Result<> Submit(Write& write);
  void WriteLoop();
  Result<> WriteOne(const Write& write);
  // With mutex_ held; `after` is nullptr when it is erased.
  void PublishSandbox(const SandboxId& id, SandboxPtr after);
  void PublishContainer(const ContainerId& id, ContainerPtr after);
  template <typename Id, typename Record>
  using Publish = void (Store::*)(const Id&, std::shared_ptr<const Record>);
  template <typename Id, typename Record>
  Result<std::shared_ptr<const Record>> UpdateIn(const std::map<Id, std::shared_ptr<const Record>>& records,
                                                 Publish<Id, Record> publish, const char* sql, const Id& id,
                                                 const std::function<void(Record&)>& change);
  [[nodiscard]] std::vector<ContainerPtr> ContainersLocked(const SandboxId& id) const;

  Database database_;  // after Open, of the writer thread only
  std::vector<std::string> problems_;

  mutable std::mutex mutex_;  // guards what follows; never held while the database is written
  std::condition_variable queued_, written_;
  std::deque<Write*> queue_;
  bool ending_ = false;
  std::map<SandboxId, SandboxPtr> sandboxes_;
  std::map<ContainerId, ContainerPtr> containers_;
  std::map<SandboxId, std::map<ContainerId, ContainerPtr>> by_sandbox_;
  Observer observer_;
  std::mutex update_mutex_;  // makes Update a read and a write without another Update between

  std::thread writer_;
};

}  // namespace fermata::sandbox
