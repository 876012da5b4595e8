// A client of the streaming server for tests: the URLs of the CRI, and a WebSocket of v5.channel.k8s.io.
#pragma once

#include <map>
#include <string>

#include "runtime/base/json.h"
#include "tests/cri/streaming/raw_client.h"
#include "tests/e2e/cri_client.h"

namespace fermata::testing {

struct StreamOptions {
  bool tty = false;
  bool want_stdin = false;
  bool want_stdout = true;
  bool want_stderr = true;
};

inline grpc::Status TryExecUrl(Daemon& daemon, const std::string& id, const std::vector<std::string>& command,
                               const StreamOptions& options, std::string* url) {
  v1::ExecRequest request;
  v1::ExecResponse response;
  request.set_container_id(id);
  for (const std::string& word : command) request.add_cmd(word);
  request.set_tty(options.tty);
  request.set_stdin(options.want_stdin);
  request.set_stdout(options.want_stdout);
  request.set_stderr(options.want_stderr);
  grpc::Status status = Call(*daemon.runtime, &v1::RuntimeService::Stub::Exec, request, &response);
  *url = response.url();
  return status;
}

inline grpc::Status TryAttachUrl(Daemon& daemon, const std::string& id, const StreamOptions& options,
                                 std::string* url) {
  v1::AttachRequest request;
  v1::AttachResponse response;
  request.set_container_id(id);
  request.set_tty(options.tty);
  request.set_stdin(options.want_stdin);
  request.set_stdout(options.want_stdout);
  request.set_stderr(options.want_stderr);
  grpc::Status status = Call(*daemon.runtime, &v1::RuntimeService::Stub::Attach, request, &response);
  *url = response.url();
  return status;
}

// "http://127.0.0.1:PORT/PATH"
inline uint16_t PortOf(const std::string& url) {
  const size_t colon = url.find(':', url.find("//"));
  return static_cast<uint16_t>(std::atoi(url.c_str() + colon + 1));
}
inline std::string PathOf(const std::string& url) { return url.substr(url.find('/', url.find("//") + 2)); }

class StreamClient {
 public:
  explicit StreamClient(const std::string& url, const std::string& protocol = "v5.channel.k8s.io") : raw_(PortOf(url)) {
    (void)raw_.Send(RawClient::WebSocketRequest(PathOf(url), protocol));
    head_ = raw_.ReadHead();
  }
  [[nodiscard]] bool open() const { return head_.starts_with("HTTP/1.1 101 "); }
  [[nodiscard]] const std::string& head() const { return head_; }
  [[nodiscard]] int fd() const { return raw_.fd(); }

  bool Send(char channel, std::string_view data) {
    std::string frame("\x82\xfe", 2);
    const size_t length = data.size() + 1;
    frame.push_back(static_cast<char>(length >> 8));
    frame.push_back(static_cast<char>(length));
    frame.append(4, '\0');  // a mask that changes nothing
    frame.push_back(channel);
    return raw_.Send(frame.append(data));
  }
  void Input(std::string_view data) { EXPECT_TRUE(Send(0, data)); }
  void InputEnd() { EXPECT_TRUE(Send(static_cast<char>(255), std::string_view("\0", 1))); }
  void Resize(int columns, int rows) { EXPECT_TRUE(Send(4, Json({{"Width", columns}, {"Height", rows}}).dump())); }
  // Reads until a channel holds this text, or the end.
  bool ReadUntil(const std::string& text, int channel = 1) {
    while (out[channel].find(text) == std::string::npos) {
      if (!ReadFrame()) return false;
    }
    return true;
  }
  // To the end: the exit code, or -1 with the status in out[3].
  int Finish() {
    while (ReadFrame()) {
    }
    const Json status = Json::parse(out[3], nullptr, false);
    if (!status.is_object()) return -1;
    if (status.value("status", "") == "Success") return 0;
    if (status.value("reason", "") != "NonZeroExitCode") return -1;
    return std::atoi(status["details"]["causes"][0]["message"].get<std::string>().c_str());
  }
  std::map<int, std::string> out;  // by channel
  int close_code = 0;

 private:
  bool Fill(size_t bytes) {
    while (buffer_.size() < bytes) {
      const std::string piece = raw_.ReadSome();
      if (piece.empty()) return false;
      buffer_ += piece;
    }
    return true;
  }
  bool ReadFrame() {
    if (!Fill(2)) return false;
    const auto byte = [this](size_t i) { return static_cast<unsigned char>(buffer_[i]); };
    const int op = byte(0) & 15;
    size_t length = byte(1);
    size_t head = 2;
    if (length == 126 || length == 127) {
      const size_t more = length == 126 ? 2 : 8;
      if (!Fill(head + more)) return false;
      length = 0;
      for (size_t i = 0; i < more; ++i) length = length << 8 | byte(head + i);
      head += more;
    }
    if (!Fill(head + length)) return false;
    const std::string payload = buffer_.substr(head, length);
    buffer_.erase(0, head + length);
    if (op == 8) {
      if (payload.size() >= 2) {
        close_code = static_cast<unsigned char>(payload[0]) << 8 | static_cast<unsigned char>(payload[1]);
      }
      return false;
    }
    if (!payload.empty()) out[static_cast<unsigned char>(payload[0])] += payload.substr(1);
    return true;
  }

  RawClient raw_;
  std::string head_, buffer_;
};

}  // namespace fermata::testing
