#include "cri/cli/row_template.h"

#include <algorithm>

#include "runtime/base/json.h"

namespace fermata::cri::cli {
namespace {

constexpr std::string_view kTable = "table ";

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

std::string WithEscapes(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    if (next != 't' && next != 'n' && next != '\\') {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(next == 't' ? '\t' : next == 'n' ? '\n' : '\\');
    ++i;
  }
  return out;
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

Result<> RowTemplate::AddAction(std::string_view action, const std::string& whole) {
  constexpr std::string_view kJson = "json ";
  Piece piece;
  std::string_view name = Trimmed(action);
  if (name.starts_with(kJson)) {
    piece.json = true;
    name = Trimmed(name.substr(kJson.size()));
  }
  if (name == ".") {
    piece.field = kAll;
    pieces_.push_back(std::move(piece));
    return {};
  }
  const auto found = std::ranges::find_if(fields_, [&](const std::string& field) { return name == "." + field; });
  if (found == fields_.end()) {
    std::string known;
    for (const std::string& field : fields_) known += " ." + field;
    return Error::Make(ErrorCode::kInvalidArgument, "--format: {{", action, "}} is not in what is listed; there are",
                       known, ", and the function json; in: ", whole);
  }
  piece.field = static_cast<int>(found - fields_.begin());
  pieces_.push_back(std::move(piece));
  return {};
}

Result<RowTemplate> RowTemplate::Parse(std::string_view text, const std::vector<std::string>& fields) {
  RowTemplate parsed;
  parsed.fields_ = fields;
  const std::string whole(text);
  if (text.starts_with(kTable)) {
    parsed.table_ = true;
    text.remove_prefix(kTable.size());
  } else if (Trimmed(text) == "json") {  // docker's short form
    text = "{{json .}}";
  }
  while (!text.empty()) {
    const size_t begin = text.find("{{");
    if (begin != 0) parsed.pieces_.push_back({WithEscapes(text.substr(0, begin)), kText, false});
    if (begin == std::string_view::npos) break;
    const size_t end = text.find("}}", begin);
    if (end == std::string_view::npos) {
      return Error::Make(ErrorCode::kInvalidArgument, "--format: a {{ has no }}: ", whole);
    }
    RETURN_IF_ERROR(parsed.AddAction(text.substr(begin + 2, end - begin - 2), whole));
    text.remove_prefix(end + 2);
  }
  if (parsed.pieces_.empty()) return Error::Make(ErrorCode::kInvalidArgument, "--format: the template is empty");
  return parsed;
}

std::string RowTemplate::Value(const Piece& piece, const std::vector<std::string>& cells) const {
  if (piece.field == kText) return piece.text;
  if (piece.field == kAll) {
    Json all = Json::object();
    for (size_t i = 0; i < fields_.size(); ++i) all[fields_[i]] = cells[i];
    return Dump(all);
  }
  const std::string& cell = cells[static_cast<size_t>(piece.field)];
  return piece.json ? Dump(cell) : cell;
}

std::string RowTemplate::Row(const std::vector<std::string>& cells) const {
  std::string row;
  for (const Piece& piece : pieces_) row += Value(piece, cells);
  return row;
}

std::vector<std::string> RowTemplate::Columns(const std::vector<std::string>& cells, bool titles) const {
  std::vector<std::string> columns(1);
  for (const Piece& piece : pieces_) {
    if (piece.field != kText) {
      columns.back() += titles && piece.field >= 0 ? cells[static_cast<size_t>(piece.field)] : Value(piece, cells);
      continue;
    }
    std::string_view text = piece.text;
    for (size_t tab = text.find('\t'); tab != std::string_view::npos; tab = text.find('\t')) {
      columns.back() += text.substr(0, tab);
      columns.emplace_back();
      text.remove_prefix(tab + 1);
    }
    columns.back() += text;
  }
  return columns;
}

}  // namespace fermata::cri::cli
