// A small wrapper of SQLite 3: a database file in WAL mode with a schema version, and statements.
//
// Database owns its connection; one thread at a time uses it (the caller sees to that).
// Migrations only go forward: a file with a newer schema is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fermata {

// A prepared statement; rows are read between Step() == true.
class Statement {
 public:
  Statement& Bind(int index, int64_t value);  // index from 1
  Statement& Bind(int index, std::string_view text);
  Result<bool> Step();                          // true: a row; false: done
  Result<> Run();                               // Step to the end, for statements without rows
  [[nodiscard]] int64_t Int(int column) const;  // column from 0
  [[nodiscard]] std::string Text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  enum class Sync : uint8_t { kNormal, kFull };  // PRAGMA synchronous

  // Opens or makes the file and brings it to version migrations.size(): migration i leads from
  // version i to i+1, each in its own transaction. kFailedPrecondition for a newer file.
  static Result<Database> Open(const std::string& path, Sync sync, std::span<const char* const> migrations);

  Result<Statement> Prepare(const std::string& sql);
  Result<> Execute(const std::string& sql);
  // Runs `body` between BEGIN IMMEDIATE and COMMIT; ROLLBACK when it fails.
  Result<> Transaction(const std::function<Result<>()>& body);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace fermata
