// The compiled interface against the table of the Kubernetes CRI: v1-fields.tsv, one row an rpc, field, enum
// value or message without fields. Both sides become sets of rows, so a difference in either direction shows
// as the rows concerned.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "cri/api/runtime_v1.grpc.pb.h"
#include "cri/api/runtime_v1.pb.h"

namespace {

namespace pb = google::protobuf;
namespace v1 = ::runtime::v1;

using Rows = std::set<std::string>;

const pb::FileDescriptor* File() { return v1::VersionRequest::descriptor()->file(); }

// The name within the package: "SecurityProfile.ProfileType".
template <typename Descriptor>
std::string NameOf(const Descriptor* descriptor) {
  return descriptor->full_name().substr(File()->package().size() + 1);
}

std::string Row(const std::vector<std::string>& columns) {
  std::string row;
  for (const std::string& column : columns) row += (row.empty() ? "" : "\t") + column;
  return row;
}

std::string SingleTypeOf(const pb::FieldDescriptor* field) {
  if (field->message_type() != nullptr) return NameOf(field->message_type());
  if (field->enum_type() != nullptr) return NameOf(field->enum_type());
  return field->type_name();
}

std::string TypeOf(const pb::FieldDescriptor* field) {
  if (field->is_map()) {
    const pb::Descriptor* entry = field->message_type();
    return "map<" + SingleTypeOf(entry->map_key()) + "," + SingleTypeOf(entry->map_value()) + ">";
  }
  return (field->is_repeated() ? "repeated " : "") + SingleTypeOf(field);
}

std::string OneofOf(const pb::FieldDescriptor* field) {
  return field->containing_oneof() == nullptr ? "" : field->containing_oneof()->name();
}

std::string Deprecated(bool deprecated) { return deprecated ? "yes" : ""; }

void AddEnum(const pb::EnumDescriptor* type, Rows& rows) {
  for (int i = 0; i < type->value_count(); ++i) {
    const pb::EnumValueDescriptor* value = type->value(i);
    rows.insert(Row({"enum-value", NameOf(type), value->name(), std::to_string(value->number()), "",
                     Deprecated(value->options().deprecated()), ""}));
  }
}

void AddMessage(const pb::Descriptor* message, Rows& rows) {
  if (message->options().map_entry()) return;
  if (message->field_count() == 0) rows.insert(Row({"empty-message", "", NameOf(message), "", "", "", ""}));
  for (int i = 0; i < message->field_count(); ++i) {
    const pb::FieldDescriptor* field = message->field(i);
    rows.insert(Row({"message-field", NameOf(message), field->name(), std::to_string(field->number()), TypeOf(field),
                     Deprecated(field->options().deprecated()), OneofOf(field)}));
  }
  for (int i = 0; i < message->enum_type_count(); ++i) AddEnum(message->enum_type(i), rows);
  for (int i = 0; i < message->nested_type_count(); ++i) AddMessage(message->nested_type(i), rows);
}

void AddService(const pb::ServiceDescriptor* service, Rows& rows) {
  for (int i = 0; i < service->method_count(); ++i) {
    const pb::MethodDescriptor* method = service->method(i);
    const std::string type = std::string(method->client_streaming() ? "stream " : "") + NameOf(method->input_type()) +
                             " -> " + (method->server_streaming() ? "stream " : "") + NameOf(method->output_type());
    rows.insert(
        Row({"rpc", NameOf(service), method->name(), "", type, Deprecated(method->options().deprecated()), ""}));
  }
}

Rows CompiledRows() {
  Rows rows;
  for (int i = 0; i < File()->service_count(); ++i) AddService(File()->service(i), rows);
  for (int i = 0; i < File()->message_type_count(); ++i) AddMessage(File()->message_type(i), rows);
  for (int i = 0; i < File()->enum_type_count(); ++i) AddEnum(File()->enum_type(i), rows);
  return rows;
}

Rows TableRows() {
  std::ifstream table(FERMATA_FIELD_TABLE);
  Rows rows;
  std::string line;
  std::getline(table, line);  // the names of the columns
  while (std::getline(table, line)) rows.insert(line);
  return rows;
}

std::vector<std::string> Difference(const Rows& from, const Rows& without) {
  std::vector<std::string> rows;
  std::set_difference(from.begin(), from.end(), without.begin(), without.end(), std::back_inserter(rows));
  return rows;
}

TEST(CriApi, TheTableIsWhole) { EXPECT_EQ(TableRows().size(), 634U); }

TEST(CriApi, EveryRowOfTheTableIsCompiled) { EXPECT_THAT(Difference(TableRows(), CompiledRows()), testing::IsEmpty()); }

TEST(CriApi, NothingIsCompiledThatIsNotInTheTable) {
  EXPECT_THAT(Difference(CompiledRows(), TableRows()), testing::IsEmpty());
}

TEST(CriApi, TheFileIsProto3OfThePackageThatClientsAddress) {
  EXPECT_EQ(File()->package(), "runtime.v1");
  EXPECT_EQ(File()->syntax(), pb::FileDescriptor::SYNTAX_PROTO3);
  EXPECT_STREQ(v1::RuntimeService::service_full_name(), "runtime.v1.RuntimeService");
  EXPECT_STREQ(v1::ImageService::service_full_name(), "runtime.v1.ImageService");
}

TEST(CriApi, AnEnvironmentValueNeedNotBeUtf8) {
  v1::KeyValue variable;
  variable.set_key("K");
  variable.set_value("\xff\xfe");
  v1::KeyValue copy;
  ASSERT_TRUE(copy.ParseFromString(variable.SerializeAsString()));
  EXPECT_EQ(copy.value(), "\xff\xfe");
}

}  // namespace
