// AttachmentLedger: all attachments, in memory and in network.db; a write has returned before the thing it speaks of
// is done. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/sqlite.h"
#include "sandbox/network/attachment.h"

namespace fermata::sandbox {

class AttachmentLedger {
 public:
  static Result<std::unique_ptr<AttachmentLedger>> Open(const std::string& path);

  Result<> Put(const Attachment& attachment);
  Result<> Erase(const std::string& id);
  [[nodiscard]] std::optional<Attachment> Find(const std::string& id) const;
  [[nodiscard]] std::vector<Attachment> All() const;
  // Records that could not be read, and stay where they are.
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  explicit AttachmentLedger(Database database) : database_(std::move(database)) {}
  Result<> Load();

  std::mutex database_mutex_;  // guards the connection; held for a write each, which waits for no disk
  Database database_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Attachment> all_;
  std::vector<std::string> problems_;  // immutable after Open
};

}  // namespace fermata::sandbox
