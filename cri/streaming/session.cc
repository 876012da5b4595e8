#include "cri/streaming/session.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "runtime/monitor/session_packet.h"

namespace fermata::cri::streaming {
namespace {

using runtime::PacketKind;

constexpr auto kQuietAfterExit = std::chrono::milliseconds(250);  // design.md 10.12
constexpr auto kLongestAfterExit = std::chrono::seconds(10);
constexpr int kPacketsAtOnce = 16;  // then others on this thread have their turn

}  // namespace

Session::Session(const asio::any_io_executor& executor, UniqueFd socket)
    : socket_(executor, socket.Release()), quiet_(executor), buffer_(runtime::kMaxPacketContent + 1) {}

void Session::Start(const std::shared_ptr<SessionClient>& client) {
  client_ = client;
  Read();
}

void Session::Read() {
  if (reading_ || closed_) return;
  reading_ = true;
  socket_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->reading_ = false;
                       if (!error) self->ReadPackets();
                     });
}

void Session::ReadPackets() {
  for (int i = 0; i < kPacketsAtOnce; ++i) {
    const auto client = client_.lock();
    if (closed_ || client == nullptr || !client->HasRoom()) return;  // Resume comes
    const ssize_t count = ::recv(socket_.native_handle(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) {
      return End({exit_code_, exit_code_ ? ""
                                         : "the connection to the container was cut: it was read too slowly, or "
                                           "its monitor is gone"});
    }
    OnPacket({buffer_.data(), static_cast<size_t>(count)});
  }
  Read();
}

void Session::OnPacket(std::string_view packet) {
  const auto kind = static_cast<PacketKind>(packet.front());
  const std::string_view content = packet.substr(1);
  if (kind == PacketKind::kOutput || kind == PacketKind::kErrorOutput) {
    last_output_ = Clock::now();
    if (const auto client = client_.lock()) client->OnOutput(kind == PacketKind::kErrorOutput, content);
    return;
  }
  uint32_t code = 0;
  if (kind != PacketKind::kExit || content.size() != sizeof code) return;
  std::memcpy(&code, content.data(), sizeof code);
  exit_code_ = static_cast<int>(code);
  exited_at_ = last_output_ = Clock::now();
  WatchQuiet();
}

// What the process left in the background may hold its streams for ever: a quarter of a second without output, while
// there was room for some, is the end.
void Session::WatchQuiet() {
  quiet_.expires_at(std::min(last_output_ + kQuietAfterExit, exited_at_ + kLongestAfterExit));
  quiet_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->closed_) return;
    const auto now = Clock::now();
    const auto client = self->client_.lock();
    if (client != nullptr && !client->HasRoom()) {  // it is the client who takes its time
      self->exited_at_ = self->last_output_ = now;
    }
    if (now < std::min(self->last_output_ + kQuietAfterExit, self->exited_at_ + kLongestAfterExit)) {
      return self->WatchQuiet();
    }
    self->End({self->exit_code_, ""});
  });
}

void Session::End(const SessionEnd& end) {
  const auto client = client_.lock();
  Close();
  if (client != nullptr) client->OnSessionEnd(end);
}

void Session::Close() {
  if (closed_) return;
  closed_ = true;
  client_.reset();
  quiet_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  input_.clear();
  input_bytes_ = 0;
}

void Session::Input(std::string_view data) {
  for (; !data.empty(); data.remove_prefix(std::min(data.size(), runtime::kMaxPacketContent))) {
    std::string packet(1, static_cast<char>(PacketKind::kInput));
    Send(packet.append(data.substr(0, runtime::kMaxPacketContent)));
  }
}

void Session::InputEnd() { Send(std::string(1, static_cast<char>(PacketKind::kInputEnd))); }

void Session::Resize(uint16_t columns, uint16_t rows) {
  if (columns == 0 || rows == 0) return;
  const uint16_t size[2] = {columns, rows};
  std::string packet(1, static_cast<char>(PacketKind::kResize));
  packet.append(reinterpret_cast<const char*>(size), sizeof size);
  // A storm of sizes is as good as its last one.
  if (input_.size() > 1 && input_.back().front() == packet.front()) {
    input_.back() = std::move(packet);
    return;
  }
  Send(std::move(packet));
}

void Session::Send(std::string packet) {
  if (closed_) return;
  input_bytes_ += packet.size();
  input_.push_back(std::move(packet));
  if (input_bytes_ > kMaxInput) input_full_ = true;
  SendPackets();
}

void Session::SendPackets() {
  if (sending_ || closed_) return;
  while (!input_.empty()) {
    const std::string& packet = input_.front();
    if (::send(socket_.native_handle(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) {
        input_.clear();  // its end comes by reading
        input_bytes_ = 0;
        break;
      }
      sending_ = true;
      socket_.async_wait(asio::posix::stream_descriptor::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->sending_ = false;
                           if (!error) self->SendPackets();
                         });
      break;
    }
    input_bytes_ -= packet.size();
    input_.pop_front();
  }
  if (!input_full_ || input_bytes_ > kMaxInput / 2) return;
  input_full_ = false;
  if (const auto client = client_.lock()) client->OnInputRoom();
}

}  // namespace fermata::cri::streaming
