// SPDY frames and header blocks, WebSocket frames and channels, statuses, tokens, HTTP heads: no sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cri/streaming/base64.h"
#include "cri/streaming/http_request.h"
#include "cri/streaming/remote_status.h"
#include "cri/streaming/spdy_connection.h"
#include "cri/streaming/token_store.h"
#include "cri/streaming/websocket_protocol.h"
#include "runtime/base/json.h"

namespace fermata::cri::streaming {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Masked(WebSocketOp op, std::string_view payload, bool fin = true) {
  std::string frame(1, static_cast<char>((fin ? 0x80 : 0) | static_cast<int>(op)));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | payload.size()));
  } else {
    frame.push_back(static_cast<char>(0x80 | 127));
    for (int shift = 56; shift >= 0; shift -= 8) frame.push_back(static_cast<char>(payload.size() >> shift));
  }
  const char mask[] = {1, 2, 3, 4};
  frame.append(mask, 4);
  for (size_t i = 0; i < payload.size(); ++i) frame.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  return frame;
}

// What a client of the streams has seen.
struct Recorder : SpdyUser {
  bool OnStream(uint32_t id, const SpdyHeaders& headers) override {
    seen.push_back("open " + std::to_string(id) + " " + headers.begin()->second);
    return !refuse;
  }
  void OnData(uint32_t id, std::string_view data) override {
    seen.push_back("data " + std::to_string(id) + " " + std::string(data));
  }
  void OnFin(uint32_t id) override { seen.push_back("fin " + std::to_string(id)); }
  void OnReset(uint32_t id) override { seen.push_back("reset " + std::to_string(id)); }
  bool refuse = false;
  std::vector<std::string> seen;
};

class SpdyTest : public ::testing::Test {
 protected:
  std::string Open(uint32_t id, const std::string& type) {
    return SpdySynStream(id, writer_.Write({{"streamtype", type}}), 0);
  }
  static std::string Data(uint32_t id, const std::string& data, uint8_t flags = 0) {
    return SpdyDataHead(id, data.size(), flags) + data;
  }
  Recorder user_;
  std::string sent_;
  SpdyHeaderWriter writer_;
  SpdyConnection spdy_{user_, 4,
                       [this](std::string_view head, std::string_view body) { sent_.append(head).append(body); }};
};

TEST_F(SpdyTest, StreamsOpenAndCarryDataWhereverTheBytesAreCut) {
  std::string bytes = Open(1, "error");  // in this order: they share a compression
  bytes += Open(3, "stdin");
  bytes += Data(3, "hello") + Data(3, "", kSpdyFin) + SpdyPing(7);
  for (const char byte : bytes) ASSERT_TRUE(spdy_.Feed({&byte, 1}));
  std::string joined;
  for (const std::string& one : user_.seen) joined += one.starts_with("data 3 ") ? one.substr(7) : "[" + one + "]";
  EXPECT_EQ(joined, "[open 1 error][open 3 stdin]hello[fin 3]");
  // Each stream was answered, before anything else; then the ping.
  SpdyParser parser;
  SpdyHeaderReader reader;
  std::string_view rest = sent_;
  std::vector<SpdyType> types;
  while (auto frame = parser.Next(rest).value()) {
    types.push_back(frame->type);
    if (frame->type == SpdyType::kSynReply) {
      EXPECT_TRUE(reader.Read(frame->payload).value().empty());
    }
  }
  EXPECT_THAT(types, ElementsAre(SpdyType::kSynReply, SpdyType::kSynReply, SpdyType::kPing));
}

TEST_F(SpdyTest, WhatBreaksTheProtocolIsRefused) {
  EXPECT_FALSE(spdy_.Feed(Data(5, "x"))) << "never opened";
  ASSERT_TRUE(spdy_.Feed(Open(3, "a")));
  ASSERT_TRUE(spdy_.Feed(Open(1, "b"))) << "a smaller id is reset, the connection goes on";
  EXPECT_THAT(user_.seen, ElementsAre("open 3 a"));
  EXPECT_THAT(sent_, HasSubstr(SpdyReset(1, kSpdyProtocolError)));
  ASSERT_TRUE(spdy_.Feed(Data(3, "", kSpdyFin)));
  EXPECT_FALSE(spdy_.Feed(Data(3, "more")));
  EXPECT_FALSE(spdy_.Feed(std::string("\x80\x02\x00\x01\x00\x00\x00\x0a", 8))) << "version 2";
}

TEST_F(SpdyTest, OnlySoManyStreamsAreOpenAtOnce) {
  std::string bytes;
  for (uint32_t id = 1; id < 20000; id += 2) bytes += Open(id, "x");
  ASSERT_TRUE(spdy_.Feed(bytes));
  EXPECT_EQ(spdy_.open(), 4U);
  EXPECT_EQ(user_.seen.size(), 4U);
}

TEST_F(SpdyTest, BothHalvesEndApart) {
  ASSERT_TRUE(spdy_.Feed(Open(1, "x")));
  spdy_.Send(1, "out");
  spdy_.Fin(1);
  spdy_.Send(1, "too late");
  ASSERT_TRUE(spdy_.Feed(Data(1, "in")));
  ASSERT_TRUE(spdy_.Feed(Data(1, "", kSpdyFin)));
  EXPECT_EQ(spdy_.open(), 0U);
  EXPECT_THAT(sent_, ::testing::EndsWith(SpdyDataHead(1, 3, 0) + "out" + SpdyDataHead(1, 0, kSpdyFin)));
  EXPECT_TRUE(spdy_.Feed(Data(1, "late")));
}

TEST(SpdyHeaders, ABlockIsReadAgainAndTheNextOneToo) {
  SpdyHeaderWriter writer;
  SpdyHeaderReader reader;
  const SpdyHeaders first = {{"port", "80"}, {"requestid", "1"}, {"streamtype", "error"}};
  EXPECT_EQ(reader.Read(writer.Write(first)).value(), first);
  const SpdyHeaders second = {{"port", "80"}, {"requestid", "1"}, {"streamtype", "data"}};
  EXPECT_EQ(reader.Read(writer.Write(second)).value(), second);
}

TEST(SpdyHeaders, BombsAndDamageAreRefused) {
  {
    SpdyHeaderWriter writer;
    SpdyHeaderReader reader;
    SpdyHeaders bomb;
    for (int i = 0; i < 30; ++i) bomb["h" + std::to_string(i)] = std::string(16000, 'x');
    const std::string block = writer.Write(bomb);
    EXPECT_LT(block.size(), 20000U);
    EXPECT_FALSE(reader.Read(block)) << "480 KB of headers";
  }
  SpdyHeaderWriter writer;
  SpdyHeaders many;
  for (int i = 0; i < 200; ++i) many["h" + std::to_string(i)] = "x";
  EXPECT_FALSE(SpdyHeaderReader().Read(writer.Write(many)));
  EXPECT_FALSE(SpdyHeaderReader().Read("not zlib"));
  EXPECT_FALSE(SpdyHeaderReader().Read(""));
}

TEST(SpdyFrames, ALongControlFrameIsRefusedByItsHead) {
  SpdyParser parser;
  std::string_view head("\x80\x03\x00\x01\x00\xff\xff\xff", 8);
  EXPECT_FALSE(parser.Next(head));
}

TEST(WebSocket, MessagesInAnyPieces) {
  const std::string bytes = Masked(WebSocketOp::kBinary, "ab", false) + Masked(WebSocketOp::kPing, "p") +
                            Masked(WebSocketOp::kContinuation, "cd") + Masked(WebSocketOp::kText, "") +
                            Masked(WebSocketOp::kBinary, std::string(70000, 'x'));
  for (const size_t step : {size_t{1}, size_t{3}, bytes.size()}) {
    WebSocketParser parser;
    std::vector<std::pair<WebSocketOp, size_t>> seen;
    for (size_t at = 0; at < bytes.size(); at += step) {
      std::string_view piece = std::string_view(bytes).substr(at, step);
      while (auto message = parser.Next(piece).value()) seen.emplace_back(message->op, message->payload.size());
    }
    EXPECT_THAT(seen,
                ElementsAre(std::pair(WebSocketOp::kPing, size_t{1}), std::pair(WebSocketOp::kBinary, size_t{4}),
                            std::pair(WebSocketOp::kText, size_t{0}), std::pair(WebSocketOp::kBinary, size_t{70000})))
        << step;
  }
}

TEST(WebSocket, WhatBreaksTheProtocolHasACode) {
  struct Case {
    std::string bytes;
    uint16_t code;
  };
  std::string huge = Masked(WebSocketOp::kBinary, std::string(126, 'x')).substr(0, 2);
  huge += std::string("\0\0\0\0\x7f\0\0\0mask", 12);
  const Case cases[] = {{std::string("\x82\x01x", 3), kWebSocketProtocolError},  // no mask
                        {std::string("\xc2\x80", 2) + "mask", kWebSocketProtocolError},
                        {Masked(WebSocketOp::kContinuation, "x"), kWebSocketProtocolError},
                        {Masked(WebSocketOp::kPing, "x", false), kWebSocketProtocolError},
                        {Masked(WebSocketOp::kClose, "x"), kWebSocketProtocolError},
                        {Masked(WebSocketOp::kText, "\xff"), kWebSocketBadText},
                        {Masked(WebSocketOp::kText, "\xed\xa0\x80"), kWebSocketBadText},
                        {huge, kWebSocketTooBig}};
  for (const Case& one : cases) {
    WebSocketParser parser;
    std::string_view bytes = one.bytes;
    EXPECT_FALSE(parser.Next(bytes)) << one.code;
    EXPECT_EQ(parser.close_code(), one.code);
  }
}

TEST(WebSocket, TheKeyOfTheStandardHasItsAnswer) {
  EXPECT_EQ(WebSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketChannels, EachProtocolReadsWhatItWrites) {
  for (const char* name : {"v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io", "v4.base64.channel.k8s.io",
                           "base64.channel.k8s.io"}) {
    const auto protocol = ChooseWebSocketProtocol({"other", name}, Method::kExec);
    ASSERT_TRUE(protocol) << name;
    EXPECT_EQ(protocol->name, name);
    const std::string data("\0\xff text", 7);
    const ChannelParts parts = WriteChannelMessage(*protocol, kChannelStdout, data);
    const auto read = ReadChannelMessage(*protocol, parts.op, parts.head + (protocol->base64 ? parts.text : data));
    ASSERT_TRUE(read) << name;
    EXPECT_EQ(read->channel, kChannelStdout);
    EXPECT_EQ(read->data, data);
    EXPECT_FALSE(ReadChannelMessage(*protocol, parts.op, ""));
  }
  EXPECT_FALSE(ChooseWebSocketProtocol({"v9.channel.k8s.io"}, Method::kExec));
  EXPECT_FALSE(ChooseWebSocketProtocol({"v5.channel.k8s.io"}, Method::kPortForward));
  EXPECT_TRUE(ChooseWebSocketProtocol({"SPDY/3.1+portforward.k8s.io"}, Method::kPortForward)->tunnel);
  EXPECT_FALSE(ChooseWebSocketProtocol({}, Method::kAttach)->status);
}

TEST(Base64Test, ForthAndBack) {
  for (const std::string& text : {std::string(), std::string("a"), std::string("ab"), std::string("abc\0d", 5)}) {
    EXPECT_EQ(FromBase64(Base64(text)), text);
  }
  for (const char* bad : {"a", "====", "ab=c", "a*==", "YQ=\n"}) EXPECT_FALSE(FromBase64(bad)) << bad;
}

TEST(StatusTest, TheWordsOfKubernetes) {
  EXPECT_EQ(StatusJson({0, ""}), R"({"metadata":{},"status":"Success"})");
  const Json failed = Json::parse(StatusJson({7, ""}));
  EXPECT_EQ(failed["reason"], "NonZeroExitCode");
  EXPECT_EQ(failed["details"]["causes"][0]["reason"], "ExitCode");
  EXPECT_EQ(failed["details"]["causes"][0]["message"], "7");
  const Json error = Json::parse(StatusJson({std::nullopt, "no \xff good"}));
  EXPECT_EQ(error["reason"], "InternalError");
  EXPECT_EQ(error["code"], 500);
  EXPECT_EQ(StatusText({0, ""}), "");
  EXPECT_THAT(StatusText({3, ""}), HasSubstr("exit status 3"));
}

TEST(ResizeTest, SizesInPiecesAndNonsense) {
  std::vector<std::pair<int, int>> sizes;
  ResizeReader reader;
  const auto sink = [&](uint16_t columns, uint16_t rows) { sizes.emplace_back(columns, rows); };
  const std::string text = R"({"Width":80,"Height":24}
 junk {"Width":0,"Height":5} {"Width":-1,"Height":5} {"Width":70000,"Height":5} {"Width":"x"} {]} {"Width":100,"Height":40})";
  for (const char c : text) reader.Read({&c, 1}, sink);
  reader.Read("{" + std::string(100000, 'x') + "}", sink);
  reader.Read("{\"Width\":1,\"Height\":2}\xff\xfe", sink);
  EXPECT_THAT(sizes, ElementsAre(std::pair(80, 24), std::pair(100, 40), std::pair(1, 2)));
}

TEST(TokenTest, OneUseOneMethodOneMinute) {
  TokenStore::Clock::time_point now{};
  TokenStore tokens([&now] { return now; });
  const std::string token = tokens.Add({.method = Method::kExec, .command = {"true"}}).value();
  EXPECT_EQ(token.size(), 32U);
  EXPECT_FALSE(tokens.Take(token, Method::kAttach)) << "another method";
  EXPECT_FALSE(tokens.Take(token.substr(1), Method::kExec));
  EXPECT_EQ(tokens.Take(token, Method::kExec)->command.front(), "true");
  EXPECT_FALSE(tokens.Take(token, Method::kExec)) << "used";
  const std::string old = tokens.Add({}).value();
  now += TokenStore::kLifetime;
  EXPECT_FALSE(tokens.Take(old, Method::kExec)) << "too old";
}

TEST(TokenTest, SoManyAndNoMoreAreOpen) {
  TokenStore::Clock::time_point now{};
  TokenStore tokens([&now] { return now; });
  for (size_t i = 0; i < TokenStore::kMaxOpen; ++i) ASSERT_TRUE(tokens.Add({}));
  EXPECT_EQ(tokens.Add({}).error().code(), ErrorCode::kResourceExhausted);
  for (int i = 0; i < 100000; ++i) {
    ASSERT_FALSE(tokens.Take(std::to_string(i) + std::string(27, '0'), Method::kExec));
  }
  now += TokenStore::kLifetime;
  EXPECT_TRUE(tokens.Add({})) << "the old ones have gone";
}

TEST(HttpTest, HeadsAndWhatIsNone) {
  const auto request = HttpRequest::Parse(
      "POST /exec/abc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUPGRADE: spdy/3.1\r\n"
      "X-Stream-Protocol-Version: v5.channel.k8s.io, v4.channel.k8s.io\r\n"
      "X-Stream-Protocol-Version: channel.k8s.io\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->HasWord("upgrade", "SPDY/3.1"));
  EXPECT_THAT(request->Words("x-stream-protocol-version"),
              ElementsAre("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"));
  EXPECT_EQ(ParseTarget(request->target)->token, "abc");
  EXPECT_FALSE(HttpRequest::Parse("\x16\x03\x01 hello\r\n\r\n"));
  EXPECT_FALSE(HttpRequest::Parse("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"));
  EXPECT_FALSE(HttpRequest::Parse("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"));
  EXPECT_FALSE(ParseTarget("/metrics"));
  EXPECT_EQ(ChooseSpdyProtocol({"v9.channel.k8s.io", "v2.channel.k8s.io"}, Method::kExec)->version, 2);
  EXPECT_FALSE(ChooseSpdyProtocol({"v4.channel.k8s.io"}, Method::kPortForward));
}

}  // namespace
}  // namespace fermata::cri::streaming
