// Templates of one line each, as `--format` of docker and podman takes them: {{.Field}}, {{json .}}, {{json .Field}},
// and \t, \n and \\ between them. "table " in front asks for aligned columns with titles. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::cri::cli {

class RowTemplate {
 public:
  // kInvalidArgument names what is wrong, and the fields there are.
  static Result<RowTemplate> Parse(std::string_view text, const std::vector<std::string>& fields);

  // The cells have the order of the fields.
  [[nodiscard]] std::string Row(const std::vector<std::string>& cells) const;
  [[nodiscard]] bool table() const { return table_; }
  // The cells or titles of a table's line: the template's columns stand between tabs.
  [[nodiscard]] std::vector<std::string> Columns(const std::vector<std::string>& cells, bool titles) const;

 private:
  struct Piece {
    std::string text;  // as it is, unless:
    int field = kText;
    bool json = false;
  };
  static constexpr int kText = -1, kAll = -2;

  Result<> AddAction(std::string_view action, const std::string& whole);
  [[nodiscard]] std::string Value(const Piece& piece, const std::vector<std::string>& cells) const;

  bool table_ = false;
  std::vector<std::string> fields_;
  std::vector<Piece> pieces_;
};

}  // namespace fermata::cri::cli
