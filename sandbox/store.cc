#include "sandbox/store.h"

#include <array>

#include "runtime/base/file.h"
#include "sandbox/record_codec.h"

namespace fermata::sandbox {
namespace {

constexpr std::array<const char*, 1> kMigrations = {
    "CREATE TABLE sandboxes (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE containers (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE quarantine (id TEXT PRIMARY KEY, origin TEXT NOT NULL, record BLOB NOT NULL, reason TEXT NOT NULL)"
    " WITHOUT ROWID;"};

constexpr const char* kPutSandbox = "INSERT OR REPLACE INTO sandboxes VALUES (?1, ?2)";
constexpr const char* kPutContainer = "INSERT OR REPLACE INTO containers VALUES (?1, ?2)";
// What was erased while an update of it was under way does not come back.
constexpr const char* kUpdateSandbox = "UPDATE sandboxes SET record = ?2 WHERE id = ?1";
constexpr const char* kUpdateContainer = "UPDATE containers SET record = ?2 WHERE id = ?1";
constexpr const char* kEraseSandbox = "DELETE FROM sandboxes WHERE id = ?1";
constexpr const char* kEraseContainer = "DELETE FROM containers WHERE id = ?1";

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(const std::string& path) {
  // It holds the manifests, and with them the secrets, of pods. SQLite gives its other files the mode of this one.
  ASSIGN_OR_RETURN(UniqueFd file, OpenAt(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::fchmod(file.get(), 0600) != 0) return Error::Errno("chmod ", path);
  file.Reset();  // before SQLite opens it: closing it later would end SQLite's locks (sqlite.org, "How To Corrupt")
  ASSIGN_OR_RETURN(Database database, Database::Open(path, Database::Sync::kNormal, kMigrations));
  std::unique_ptr<Store> store(new Store(std::move(database)));
  RETURN_IF_ERROR(store->Load(), "load ", path);
  store->writer_ = std::thread([raw = store.get()] { raw->WriteLoop(); });
  return store;
}

Store::~Store() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  queued_.notify_all();
  if (writer_.joinable()) writer_.join();
}

Result<> Store::Load() {
  std::vector<std::pair<std::string, Error>> bad_sandboxes, bad_containers;
  {
    ASSIGN_OR_RETURN(Statement rows, database_.Prepare("SELECT id, record FROM sandboxes"));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      auto record = DecodeSandbox(rows.Text(1));
      if (record) {
        const auto sandbox = std::make_shared<const SandboxRecord>(std::move(*record));
        sandboxes_[sandbox->id] = sandbox;
      } else {
        bad_sandboxes.emplace_back(rows.Text(0), std::move(record).error());
      }
    }
  }
  {
    ASSIGN_OR_RETURN(Statement rows, database_.Prepare("SELECT id, record FROM containers"));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.Step());
      if (!row) break;
      auto record = DecodeContainer(rows.Text(1));
      if (record) {
        const auto container = std::make_shared<const ContainerRecord>(std::move(*record));
        containers_[container->id] = container;
        by_sandbox_[container->sandbox][container->id] = container;
      } else {
        bad_containers.emplace_back(rows.Text(0), std::move(record).error());
      }
    }
  }
  for (const auto& [id, error] : bad_sandboxes) RETURN_IF_ERROR(Quarantine("sandboxes", id, error));
  for (const auto& [id, error] : bad_containers) RETURN_IF_ERROR(Quarantine("containers", id, error));
  return {};
}

Result<> Store::Quarantine(const std::string& table, const std::string& id, const Error& error) {
  problems_.push_back(table + " " + id + " is set aside: " + error.message());
  return database_.Transaction([&]() -> Result<> {
    ASSIGN_OR_RETURN(Statement move, database_.Prepare("INSERT OR REPLACE INTO quarantine SELECT id, '" + table +
                                                       "', record, ?2 FROM " + table + " WHERE id = ?1"));
    RETURN_IF_ERROR(move.Bind(1, id).Bind(2, error.message()).Run());
    ASSIGN_OR_RETURN(Statement erase, database_.Prepare("DELETE FROM " + table + " WHERE id = ?1"));
    return erase.Bind(1, id).Run();
  });
}

SandboxPtr Store::Find(const SandboxId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = sandboxes_.find(id);
  return found == sandboxes_.end() ? nullptr : found->second;
}

ContainerPtr Store::Find(const ContainerId& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = containers_.find(id);
  return found == containers_.end() ? nullptr : found->second;
}

std::vector<SandboxPtr> Store::Sandboxes() const {
  const std::lock_guard lock(mutex_);
  std::vector<SandboxPtr> all;
  all.reserve(sandboxes_.size());
  for (const auto& [id, record] : sandboxes_) all.push_back(record);
  return all;
}

std::vector<ContainerPtr> Store::Containers() const {
  const std::lock_guard lock(mutex_);
  std::vector<ContainerPtr> all;
  all.reserve(containers_.size());
  for (const auto& [id, record] : containers_) all.push_back(record);
  return all;
}

std::vector<ContainerPtr> Store::ContainersOf(const SandboxId& id) const {
  const std::lock_guard lock(mutex_);
  return ContainersLocked(id);
}

std::vector<ContainerPtr> Store::ContainersLocked(const SandboxId& id) const {
  std::vector<ContainerPtr> some;
  if (const auto found = by_sandbox_.find(id); found != by_sandbox_.end()) {
    for (const auto& [container_id, record] : found->second) some.push_back(record);
  }
  return some;
}

void Store::PublishSandbox(const SandboxId& id, SandboxPtr after) {
  const auto found = sandboxes_.find(id);
  RecordChange change;
  if (found != sandboxes_.end()) change.sandbox_before = found->second;
  change.sandbox_after = after;
  if (after != nullptr) {
    sandboxes_[id] = std::move(after);
  } else if (found != sandboxes_.end()) {
    sandboxes_.erase(found);
  }
  if (!observer_) return;
  change.containers = ContainersLocked(id);
  observer_(change);
}

void Store::PublishContainer(const ContainerId& id, ContainerPtr after) {
  const auto found = containers_.find(id);
  RecordChange change;
  if (found != containers_.end()) change.container_before = found->second;
  change.container_after = after;
  if (after == nullptr && found == containers_.end()) return;
  const SandboxId sandbox = (after != nullptr ? after : change.container_before)->sandbox;
  if (after != nullptr) {
    by_sandbox_[sandbox][id] = after;
    containers_[id] = std::move(after);
  } else {
    const auto siblings = by_sandbox_.find(sandbox);
    siblings->second.erase(id);
    if (siblings->second.empty()) by_sandbox_.erase(siblings);
    containers_.erase(found);
  }
  if (!observer_) return;
  if (const auto pod = sandboxes_.find(sandbox); pod != sandboxes_.end()) {
    change.sandbox_before = change.sandbox_after = pod->second;
  }
  change.containers = ContainersLocked(sandbox);
  observer_(change);
}

Result<> Store::Put(SandboxRecord record) {
  const auto shared = std::make_shared<const SandboxRecord>(std::move(record));
  Write write{kPutSandbox, shared->id.str(), Encode(*shared), [this, shared] { PublishSandbox(shared->id, shared); }};
  return Submit(write);
}

Result<> Store::Put(ContainerRecord record) {
  const auto shared = std::make_shared<const ContainerRecord>(std::move(record));
  Write write{kPutContainer, shared->id.str(), Encode(*shared),
              [this, shared] { PublishContainer(shared->id, shared); }};
  return Submit(write);
}

Result<> Store::Erase(const SandboxId& id) {
  Write write{kEraseSandbox, id.str(), {}, [this, id] { PublishSandbox(id, nullptr); }};
  return Submit(write);
}

Result<> Store::Erase(const ContainerId& id) {
  Write write{kEraseContainer, id.str(), {}, [this, id] { PublishContainer(id, nullptr); }};
  return Submit(write);
}

template <typename Id, typename Record>
Result<std::shared_ptr<const Record>> Store::UpdateIn(const std::map<Id, std::shared_ptr<const Record>>& records,
                                                      Publish<Id, Record> publish, const char* sql, const Id& id,
                                                      const std::function<void(Record&)>& change) {
  const std::lock_guard lock(update_mutex_);
  const auto gone = [&] { return Error::Make(ErrorCode::kNotFound, "record ", id.str(), " does not exist"); };
  const std::shared_ptr<const Record> current = Find(id);
  if (current == nullptr) return gone();
  const auto changed = std::make_shared<Record>(*current);
  change(*changed);
  bool published = false;
  Write write{sql, id.str(), Encode(*changed), [&] {
                published = records.contains(id);
                if (published) (this->*publish)(id, changed);
              }};
  RETURN_IF_ERROR(Submit(write));
  if (!published) return gone();
  return std::shared_ptr<const Record>(changed);
}

Result<ContainerPtr> Store::Update(const ContainerId& id, const std::function<void(ContainerRecord&)>& change) {
  return UpdateIn(containers_, &Store::PublishContainer, kUpdateContainer, id, change);
}

Result<SandboxPtr> Store::Update(const SandboxId& id, const std::function<void(SandboxRecord&)>& change) {
  return UpdateIn(sandboxes_, &Store::PublishSandbox, kUpdateSandbox, id, change);
}

Result<> Store::Submit(Write& write) {
  Result<> result;
  write.result = &result;
  std::unique_lock lock(mutex_);
  queue_.push_back(&write);
  queued_.notify_one();
  written_.wait(lock, [&write] { return write.done; });
  return result;
}

Result<> Store::WriteOne(const Write& write) {
  ASSIGN_OR_RETURN(Statement statement, database_.Prepare(write.sql));
  statement.Bind(1, write.id);
  if (!write.record.empty()) statement.Bind(2, write.record);
  return statement.Run();
}

// Whatever has come together while the last transaction ran goes into one; if that fails, each alone, so that
// everybody gets the answer about his own.
void Store::WriteLoop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    queued_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::deque<Write*> batch;
    batch.swap(queue_);
    lock.unlock();
    const Result<> together = database_.Transaction([&]() -> Result<> {
      for (const Write* write : batch) RETURN_IF_ERROR(WriteOne(*write));
      return {};
    });
    if (!together) {
      for (Write* write : batch) {
        *write->result = database_.Transaction([&] { return WriteOne(*write); });
      }
    }
    lock.lock();
    for (Write* write : batch) {
      if (*write->result) write->publish();
      write->done = true;
    }
    written_.notify_all();
  }
}

}  // namespace fermata::sandbox
