// Rows C-06 and C-11 of the threat table: foreign texts on a terminal, and byte patterns in every string of a request.
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <functional>

#include "cri/cli/output.h"
#include "tests/cri/convert_fixture.h"

namespace fermata::cri {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

TEST(HostileText, C06NothingThatSteersATerminalIsPrinted) {
  for (const std::string& text :
       {std::string("\x1b[2J"), std::string("\x1b]0;title\x07"), std::string("a\rb"), std::string("a\nb"),
        std::string("a\bb"), std::string("\x7f"), std::string("a\0b", 3),
        std::string("\xc2\x9b"
                    "2J"),
        std::string("\xc2\x85"),
        std::string("\x9b"
                    "2J"),
        std::string("\xe2\x80\xae"
                    "evil"),
        std::string("\xe2\x81\xa6"), std::string("\xd8\x9c"), std::string("\xe2\x80\x8f"), std::string("\xe2\x80\xa8"),
        std::string("\xff\xfe"), std::string("\xe2\x80"), std::string("\xc0\x9b"), std::string("\xf5\x80\x80\x80")}) {
    const std::string shown = cli::Printable(text);
    EXPECT_NE(shown.find("\\x"), std::string::npos) << shown;
    for (const char c : shown) EXPECT_TRUE(c >= ' ' && c <= '~') << shown;
  }
  const std::string plain = "web-1\tL\xc3\xb6sung \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x99\x82 \xc2\xa0";
  EXPECT_EQ(cli::Printable(plain), plain);
}

// Calls `visit` for each string field below `message`, set to `text` and back again.
void ForEachString(Message& message, const std::string& text, int depth, const std::function<void()>& visit) {
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    if (field->is_map() || depth > 6) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      const std::unique_ptr<Message> before(message.New());
      before->CopyFrom(message);
      field->is_repeated() ? reflection.AddString(&message, field, text) : reflection.SetString(&message, field, text);
      visit();
      message.CopyFrom(*before);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const bool was_set = !field->is_repeated() && reflection.HasField(message, field);
      Message* child =
          field->is_repeated() ? reflection.AddMessage(&message, field) : reflection.MutableMessage(&message, field);
      ForEachString(*child, text, depth + 1, visit);
      if (field->is_repeated()) reflection.RemoveLast(&message, field);
      if (!field->is_repeated() && !was_set) reflection.ClearField(&message, field);
    }
  }
}

std::vector<std::string> Patterns() {
  std::vector<std::string> patterns = {"",
                                       " ",
                                       "\n",
                                       "\r\n",
                                       "\t",
                                       "=",
                                       ":",
                                       ",",
                                       ";",
                                       "/",
                                       "//",
                                       ".",
                                       "..",
                                       "../..",
                                       "/..",
                                       "%s%n",
                                       "$(id)",
                                       "`",
                                       "'",
                                       "\"",
                                       "\\",
                                       "{}",
                                       "[",
                                       "null",
                                       "-1",
                                       "0",
                                       "0x0",
                                       "1e9",
                                       "\x1b[2J",
                                       "\x7f",
                                       "\xc2\x9b",
                                       "\xe2\x80\xae",
                                       "\xef\xbb\xbf",
                                       "a\nb: c",
                                       "--help",
                                       "sha256:",
                                       "A=B\nC",
                                       "unconfined",
                                       "host",
                                       "\xf0\x9f\x99\x82"};
  for (const size_t size : {63U, 64U, 255U, 256U, 4095U, 4096U, 65'536U}) patterns.emplace_back(size, 'a');
  return patterns;
}

TEST(HostileText, C11EveryPatternInEveryStringIsRefusedOrKeptWhole) {
  size_t fields = 0;
  for (const std::string& text : Patterns()) {
    v1::PodSandboxConfig pod = GoodSandbox();
    ForEachString(pod, text, 0, [&] {
      ++fields;
      const auto spec = FromProto(pod, "");
      if (!spec) {
        EXPECT_FALSE(spec.error().message().empty());
      } else {
        EXPECT_EQ(spec->hostname, pod.hostname());
      }
    });
    v1::ContainerConfig container = GoodContainer();
    ForEachString(container, text, 0, [&] {
      ++fields;
      const auto spec = FromProto(container, PodSpec());
      if (!spec) return;
      EXPECT_EQ(spec->command, std::vector<std::string>(container.command().begin(), container.command().end()));
      EXPECT_EQ(spec->working_dir, container.working_dir());
    });
  }
  EXPECT_GE(fields, Patterns().size() * 60);
}

TEST(HostileText, C11ANulInAnyStringIsRefused) {
  v1::PodSandboxConfig pod = GoodSandbox();
  const std::string text("a\0b", 3);
  ForEachString(pod, text, 0, [&] { EXPECT_FALSE(FromProto(pod, "")); });
  v1::ContainerConfig container = GoodContainer();
  ForEachString(container, text, 0, [&] { EXPECT_FALSE(FromProto(container, PodSpec())); });
}

}  // namespace
}  // namespace fermata::cri
