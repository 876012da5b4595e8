// MetricsServer: answers GET /metrics on an address of loopback. Thread-safe; owns the listening socket and its
// connections. On the threads of the streaming server, whose parts it uses: prometheus-cpp's own exposer (civetweb)
// would bring threads and buffers of its own into a daemon that idles.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>

#include "cri/streaming/server.h"
#include "runtime/base/result.h"
#include "runtime/base/task_pool.h"

namespace fermata::cri {

class MetricsServer {
 public:
  struct Options {
    std::string address;  // of loopback
    uint16_t port = 0;    // 0: any
  };
  using Page = std::function<std::string()>;

  // `page` runs on `tasks`. kInvalidArgument for an address that others than this machine reach.
  static Result<std::unique_ptr<MetricsServer>> Start(const Options& options, streaming::Server& streams,
                                                      TaskPool& tasks, Page page);
  // Nobody new is served; before the streaming server stops.
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  struct State;
  MetricsServer() = default;

  std::shared_ptr<State> state_;
  std::string url_;
};

}  // namespace fermata::cri
