// Protocol, exit records and the log writer; no root needed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <fstream>

#include "runtime/monitor/exit_record.h"
#include "runtime/monitor/log_writer.h"
#include "runtime/monitor/protocol.h"
#include "tests/fixtures/temporary.h"

namespace fermata::runtime {
namespace {

using ::testing::MatchesRegex;
using testing::TemporaryDirectory;

TEST(ProtocolTest, WhatIsWrittenIsRead) {
  MessageWriter writer(MessageType::kStartContainer, 7);
  writer.Add(Tag::kId, "c1").Add(Tag::kPid, uint64_t{42}).Add(Tag::kContainer, "a").Add(Tag::kContainer, "b");
  const auto reader = MessageReader::Parse(writer.Finish());
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(reader->type(), MessageType::kStartContainer);
  EXPECT_EQ(reader->request_id(), 7U);
  EXPECT_EQ(reader->Bytes(Tag::kId), "c1");
  EXPECT_EQ(reader->Number(Tag::kPid), 42U);
  EXPECT_EQ(reader->Number(Tag::kErrno, 5), 5U);
  std::string all;
  reader->ForEach(Tag::kContainer, [&](std::string_view bytes) { all += bytes; });
  EXPECT_EQ(all, "ab");
}

TEST(ProtocolTest, UnknownTagsAreSkipped) {
  MessageWriter writer(MessageType::kHello, 1);
  writer.Add(static_cast<Tag>(9999), "from the future").Add(Tag::kVersion, uint64_t{1});
  const auto reader = MessageReader::Parse(writer.Finish());
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(reader->Number(Tag::kVersion), 1U);
}

TEST(ProtocolTest, CutAndWildMessagesAreRefused) {
  MessageWriter writer(MessageType::kHello, 1);
  const std::string good = writer.Add(Tag::kId, "abc").Finish();
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(MessageReader::Parse(good.substr(0, length)).has_value()) << length;
  }
  std::string wild = good;
  const uint32_t huge = 0xffffffff;
  std::memcpy(wild.data() + sizeof(MessageHeader) + 4, &huge, sizeof huge);
  EXPECT_FALSE(MessageReader::Parse(wild).has_value());
}

// A transcript of version 1, byte for byte: an old monitor must be understood for ever.
TEST(ProtocolTest, TheTranscriptOfVersionOneIsUnderstood) {
  const unsigned char hello[] = {32, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,
                                 1,  0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
  const auto request = MessageReader::Parse({reinterpret_cast<const char*>(hello), sizeof hello});
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->type(), MessageType::kHello);
  EXPECT_EQ(request->request_id(), 5U);
  EXPECT_EQ(request->Number(Tag::kVersion), 1U);
  const unsigned char exited[] = {58, 0, 0,  0, 102, 0,   0,  0, 0, 0, 0, 0, 0, 0, 0,   0, 3, 0, 0, 0,
                                  2,  0, 0,  0, 'c', '1', 13, 0, 0, 0, 8, 0, 0, 0, 137, 0, 0, 0, 0, 0,
                                  0,  0, 14, 0, 0,   0,   8,  0, 0, 0, 1, 0, 0, 0, 0,   0, 0, 0};
  const auto event = MessageReader::Parse({reinterpret_cast<const char*>(exited), sizeof exited});
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->type(), MessageType::kExited);
  EXPECT_EQ(event->Bytes(Tag::kId), "c1");
  EXPECT_EQ(event->Number(Tag::kExitCode), 137U);
  EXPECT_EQ(event->Number(Tag::kOomKilled), 1U);
  MessageWriter again(MessageType::kHello, 5);
  EXPECT_EQ(again.Add(Tag::kVersion, uint64_t{1}).Finish(),
            std::string_view(reinterpret_cast<const char*>(hello), sizeof hello));
}

TEST(ExitRecordTest, DamagedAndTornRecordsArePassedOver) {
  const std::string id(64, 'a');
  const ExitRecord record = MakeExitRecord(id, 137, true, 1, 2);
  const std::string bytes(reinterpret_cast<const char*>(&record), sizeof record);
  std::string damaged = bytes;
  damaged[20] = static_cast<char>(damaged[20] ^ 1);
  const auto records = ParseExitRecords(bytes + damaged + bytes + bytes.substr(0, 50));
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].id(), id);
  EXPECT_EQ(records[0].exit_code, 137);
  EXPECT_EQ(records[0].oom_killed, 1U);
}

class LogWriterTest : public ::testing::Test {
 protected:
  LogWriter Writer() {
    auto file = OpenAt(AT_FDCWD, directory_ / "log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    return LogWriter(std::move(*file));
  }
  std::vector<std::string> Lines() {
    std::ifstream file(directory_ / "log", std::ios::binary);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line.substr(31));
    return lines;
  }
  TemporaryDirectory directory_;
};

TEST_F(LogWriterTest, LinesBecomeWholeRecords) {
  auto writer = Writer();
  writer.Write(Stream::kStdout, "one\ntw");
  writer.Write(Stream::kStderr, "err\n");
  writer.Write(Stream::kStdout, "o\n\n");
  EXPECT_THAT(Lines(), ::testing::ElementsAre("stdout F one", "stderr F err", "stdout F two", "stdout F "));
  std::ifstream file(directory_ / "log");
  std::string line;
  std::getline(file, line);
  EXPECT_THAT(line, MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z stdout F one"));
}

TEST_F(LogWriterTest, LongLinesAreCutAndBytesKept) {
  auto writer = Writer();
  const std::string line(40'000, 'x');
  writer.Write(Stream::kStdout, line + "\r\n");
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], "stdout P " + std::string(16384, 'x'));
  EXPECT_EQ(lines[2], "stdout F " + std::string(40'000 - 2 * 16384, 'x') + "\r");
}

TEST_F(LogWriterTest, AnUnterminatedEndIsPartial) {
  auto writer = Writer();
  writer.Write(Stream::kStdout, "prompt> ");
  EXPECT_TRUE(Lines().empty());
  writer.End(Stream::kStdout);
  EXPECT_THAT(Lines(), ::testing::ElementsAre("stdout P prompt> "));
}

TEST_F(LogWriterTest, ALineOfExactlyTheLimitIsOneWholeRecord) {
  auto writer = Writer();
  writer.Write(Stream::kStdout, std::string(16384, 'y') + "\n");
  EXPECT_THAT(Lines(), ::testing::ElementsAre("stdout F " + std::string(16384, 'y')));
}

TEST_F(LogWriterTest, WhenNothingCanBeWrittenItIsCountedAndLaterGoesOn) {
  LogWriter writer{UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC))};
  writer.Write(Stream::kStdout, "lost\n");
  EXPECT_GT(writer.dropped_bytes(), 0U);
  auto file = OpenAt(AT_FDCWD, directory_ / "log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  writer.Reopen(std::move(*file));
  writer.Write(Stream::kStdout, "kept\n");
  EXPECT_THAT(Lines(), ::testing::ElementsAre("stdout F kept"));
}

}  // namespace
}  // namespace fermata::runtime
