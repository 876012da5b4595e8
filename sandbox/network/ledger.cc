#include "sandbox/network/ledger.h"

#include <array>

#include "runtime/base/cbor.h"

namespace fermata::sandbox {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Attachment, id, interface, pod, kind, netns, network, args,
                                                runtime_config, result, ips, owed)

namespace {

constexpr std::array<const char*, 1> kMigrations = {
    "CREATE TABLE attachments (id TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;"};

Result<Attachment> Decode(const std::string& bytes) {
  ASSIGN_OR_RETURN(const Json json, ParseCbor(bytes, "attachment"));
  return ReadJson("attachment", [&] { return json.get<Attachment>(); });
}

}  // namespace

Result<std::unique_ptr<AttachmentLedger>> AttachmentLedger::Open(const std::string& path) {
  ASSIGN_OR_RETURN(Database database, Database::Open(path, Database::Sync::kNormal, kMigrations));
  std::unique_ptr<AttachmentLedger> ledger(new AttachmentLedger(std::move(database)));
  RETURN_IF_ERROR(ledger->Load(), "load ", path);
  return ledger;
}

Result<> AttachmentLedger::Load() {
  ASSIGN_OR_RETURN(Statement rows, database_.Prepare("SELECT id, record FROM attachments"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return {};
    auto attachment = Decode(rows.Text(1));
    if (attachment) {
      all_[rows.Text(0)] = std::move(*attachment);
    } else {
      problems_.push_back("attachment " + rows.Text(0) + ": " + attachment.error().message());
    }
  }
}

Result<> AttachmentLedger::Put(const Attachment& attachment) {
  std::string bytes;
  Json::to_cbor(Json(attachment), bytes);
  {
    const std::lock_guard lock(database_mutex_);
    ASSIGN_OR_RETURN(Statement put, database_.Prepare("INSERT OR REPLACE INTO attachments VALUES (?1, ?2)"));
    RETURN_IF_ERROR(put.Bind(1, attachment.id).Bind(2, bytes).Run(), "record attachment");
  }
  const std::lock_guard lock(mutex_);
  all_[attachment.id] = attachment;
  return {};
}

Result<> AttachmentLedger::Erase(const std::string& id) {
  {
    const std::lock_guard lock(database_mutex_);
    ASSIGN_OR_RETURN(Statement erase, database_.Prepare("DELETE FROM attachments WHERE id = ?1"));
    RETURN_IF_ERROR(erase.Bind(1, id).Run(), "erase attachment");
  }
  const std::lock_guard lock(mutex_);
  all_.erase(id);
  return {};
}

std::optional<Attachment> AttachmentLedger::Find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto found = all_.find(id);
  return found == all_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<Attachment> AttachmentLedger::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<Attachment> all;
  all.reserve(all_.size());
  for (const auto& [id, attachment] : all_) all.push_back(attachment);
  return all;
}

}  // namespace fermata::sandbox
