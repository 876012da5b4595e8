#include "runtime/base/sqlite.h"

#include <sqlite3.h>

namespace fermata {
namespace {

Error SqliteError(sqlite3* database, std::string_view what) {
  const int code = sqlite3_errcode(database);
  const bool full = code == SQLITE_FULL;
  return Error::Make(full ? ErrorCode::kResourceExhausted : ErrorCode::kInternal, what, ": ", sqlite3_errmsg(database));
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { (void)sqlite3_finalize(statement); }
void Database::Close::operator()(sqlite3* database) const { (void)sqlite3_close_v2(database); }

// Binding fails only for a wrong index or out of memory: a defect, which Step then reports.
Statement& Statement::Bind(int index, int64_t value) {
  (void)sqlite3_bind_int64(statement_.get(), index, value);
  return *this;
}

Statement& Statement::Bind(int index, std::string_view text) {
  (void)sqlite3_bind_text64(statement_.get(), index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Result<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqliteError(sqlite3_db_handle(statement_.get()), sqlite3_sql(statement_.get()));
}

Result<> Statement::Run() {
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return {};
  }
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

Result<Database> Database::Open(const std::string& path, Sync sync, std::span<const char* const> migrations) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  Database database;
  database.database_.reset(raw);
  if (code != SQLITE_OK) return SqliteError(raw, "open " + path);
  RETURN_IF_ERROR(database.Execute("PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=5000"), path);
  RETURN_IF_ERROR(database.Execute(sync == Sync::kFull ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"),
                  path);

  int64_t version = 0;
  {
    ASSIGN_OR_RETURN(Statement query, database.Prepare("PRAGMA user_version"), path);
    RETURN_IF_ERROR(query.Step(), path);
    version = query.Int(0);
  }
  const auto newest = static_cast<int64_t>(migrations.size());
  if (version > newest) {
    return Error::Make(ErrorCode::kFailedPrecondition, path, ": has schema version ", std::to_string(version),
                       ", this program knows up to ", std::to_string(newest), "; use the newer program");
  }
  for (; version < newest; ++version) {
    RETURN_IF_ERROR(database.Transaction([&]() -> Result<> {
      RETURN_IF_ERROR(database.Execute(migrations[static_cast<size_t>(version)]));
      return database.Execute("PRAGMA user_version=" + std::to_string(version + 1));
    }),
                    "migrate ", path);
  }
  return database;
}

Result<Statement> Database::Prepare(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql.c_str(), static_cast<int>(sql.size()), &raw, nullptr) != SQLITE_OK) {
    return SqliteError(database_.get(), sql);
  }
  Statement statement;
  statement.statement_.reset(raw);
  return statement;
}

Result<> Database::Execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return SqliteError(database_.get(), sql);
  }
  return {};
}

Result<> Database::Transaction(const std::function<Result<>()>& body) {
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  Result<> done = body();
  if (done) done = Execute("COMMIT");
  if (!done) (void)Execute("ROLLBACK");  // the first error is the one to tell
  return done;
}

}  // namespace fermata
