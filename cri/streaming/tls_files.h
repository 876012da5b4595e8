// TlsFiles: the certificate and key that the server shows, and whom it trusts; read again when the files have changed.
// Thread-safe.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <mutex>
#include <string>

#include "runtime/base/result.h"

namespace fermata::cri::streaming {

class TlsFiles {
 public:
  // Paths of PEM files; without `client_ca` clients need no certificate. Current() is called once, to see that they are
  // good.
  TlsFiles(std::string certificate, std::string key, std::string client_ca)
      : certificate_(std::move(certificate)), key_(std::move(key)), client_ca_(std::move(client_ca)) {}

  // What a new connection uses. After a change that does not load the earlier one stays in use.
  Result<std::shared_ptr<boost::asio::ssl::context>> Current();

 private:
  [[nodiscard]] Result<std::string> Stamp() const;
  [[nodiscard]] Result<std::shared_ptr<boost::asio::ssl::context>> Load() const;

  std::string certificate_, key_, client_ca_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::string stamp_;  // of the files it was read from
};

}  // namespace fermata::cri::streaming
