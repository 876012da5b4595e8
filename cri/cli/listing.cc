#include "cri/cli/listing.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <iostream>

#include "cri/cli/output.h"
#include "cri/cli/row_template.h"
#include "runtime/base/json.h"

namespace fermata::cri::cli {
namespace {

// What YAML readers take for a string without quotes, whatever version of YAML they read.
bool IsPlain(const std::string& text) {
  constexpr std::string_view kMore = "_-./";
  static const std::vector<std::string> words = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text[0])) == 0) return false;
  std::string lower = text;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (std::ranges::find(words, lower) != words.end()) return false;
  return std::ranges::all_of(text, [&](unsigned char c) {
    return std::isalnum(c) != 0 || kMore.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

void Emit(const Json& json, YAML::Emitter& out) {
  if (json.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, value] : json.items()) {
      out << YAML::Key << key << YAML::Value;
      Emit(value, out);
    }
    out << YAML::EndMap;
  } else if (json.is_array()) {
    out << YAML::BeginSeq;
    for (const Json& value : json) Emit(value, out);
    out << YAML::EndSeq;
  } else if (json.is_string()) {
    const std::string& text = json.get_ref<const std::string&>();
    if (!IsPlain(text)) out << YAML::DoubleQuoted;
    out << text;
  } else if (json.is_null()) {
    out << YAML::Null;
  } else {
    out << json.dump();
  }
}

bool IsShown(const Column& column, bool wide) {
  return column.shown == Column::Shown::kAlways || (wide && column.shown == Column::Shown::kWide);
}

void PrintTable(const Listing& listing, bool wide) {
  std::vector<std::vector<std::string>> table(listing.rows.size() + 1);
  for (size_t i = 0; i < listing.columns.size(); ++i) {
    if (!IsShown(listing.columns[i], wide)) continue;
    table[0].push_back(listing.columns[i].title);
    for (size_t row = 0; row < listing.rows.size(); ++row) table[row + 1].push_back(listing.rows[row][i]);
  }
  std::cout << FormatTable(table);
}

Result<> PrintTemplate(const std::string& text, const Listing& listing) {
  std::vector<std::string> fields, titles;
  for (const Column& column : listing.columns) {
    fields.push_back(column.field);
    titles.push_back(column.title);
  }
  ASSIGN_OR_RETURN(const RowTemplate format, RowTemplate::Parse(text, fields));
  if (!format.table()) {
    for (const auto& row : listing.rows) std::cout << format.Row(row) << "\n";
    return {};
  }
  std::vector<std::vector<std::string>> table = {format.Columns(titles, true)};
  for (const auto& row : listing.rows) table.push_back(format.Columns(row, false));
  std::cout << FormatTable(table);
  return {};
}

}  // namespace

std::string YamlOfJson(const std::string& json) {
  YAML::Emitter out;
  Emit(Json::parse(json, nullptr, false), out);
  return std::string(out.c_str()) + "\n";
}

Result<int> PrintMessage(const Global& global, const google::protobuf::Message& message) {
  if (global.output != "yaml") return PrintJson(message);
  std::cout << YamlOfJson(JsonOf(message, false));
  return 0;
}

Result<int> PrintListing(const Global& global, const Listing& listing, const google::protobuf::Message& message) {
  if (!global.format.empty()) {
    RETURN_IF_ERROR(PrintTemplate(global.format, listing));
  } else if (global.output == "json" || global.output == "yaml") {
    return PrintMessage(global, message);
  } else if (global.output == "name") {
    for (const auto& row : listing.rows) std::cout << listing.kind << "/" << row[listing.name_column] << "\n";
  } else {
    PrintTable(listing, global.output == "wide");
  }
  return 0;
}

void AddListOptions(CLI::App& command, Global& global) {
  CLI::Option* output =
      command.add_option("-o,--output", global.output, "json, yaml, wide (more columns) or name (kind/name)")
          ->check(CLI::IsMember({"json", "yaml", "wide", "name"}))
          ->option_text("FORM");
  command
      .add_option("--format", global.format,
                  "a template for each line, as '{{.Name}}\\t{{.Status}}', 'table {{.Name}}\\t{{.Age}}' or "
                  "'{{json .}}'; a field that is not there is an error that lists them")
      ->option_text("TEMPLATE")
      ->excludes(output);
}

void AddShowOptions(CLI::App& command, Global& global) {
  command.add_option("-o,--output", global.output, "json or yaml")
      ->check(CLI::IsMember({"json", "yaml"}))
      ->option_text("FORM");
}

}  // namespace fermata::cri::cli
