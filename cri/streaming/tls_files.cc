#include "cri/streaming/tls_files.h"

#include <openssl/ssl.h>
#include <sys/stat.h>

#include "runtime/base/log.h"

namespace fermata::cri::streaming {
namespace {

namespace ssl = boost::asio::ssl;

// Clients that offer protocols have to offer HTTP/1.1.
int ChooseProtocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
                   unsigned in_length, void*) {
  static constexpr unsigned char kHttp[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_length, kHttp, sizeof kHttp, in, in_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<std::string> TlsFiles::Stamp() const {
  std::string stamp;
  for (const std::string* path : {&certificate_, &key_, &client_ca_}) {
    if (path->empty()) continue;
    struct stat status {};
    if (::stat(path->c_str(), &status) != 0) return Error::Errno("stat ", *path);
    stamp += std::to_string(status.st_ino) + "." + std::to_string(status.st_mtim.tv_sec) + "." +
             std::to_string(status.st_mtim.tv_nsec) + "." + std::to_string(status.st_size) + " ";
  }
  return stamp;
}

Result<std::shared_ptr<ssl::context>> TlsFiles::Load() const {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  boost::system::error_code error;
  const auto failed = [&error](const std::string& path) {
    return Error::Make(ErrorCode::kInvalidArgument, "TLS: ", path, ": ", error.message());
  };
  (void)SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_alpn_select_cb(context->native_handle(), ChooseProtocol, nullptr);
  context->use_certificate_chain_file(certificate_, error);
  if (error) return failed(certificate_);
  context->use_private_key_file(key_, ssl::context::pem, error);
  if (error) return failed(key_);
  if (client_ca_.empty()) return context;
  context->load_verify_file(client_ca_, error);
  if (error) return failed(client_ca_);
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
  return context;
}

Result<std::shared_ptr<ssl::context>> TlsFiles::Current() {
  const auto stamp = Stamp();
  const std::lock_guard lock(mutex_);
  if (context_ != nullptr && (!stamp || *stamp == stamp_)) return context_;
  if (!stamp) return stamp.error();
  auto loaded = Load();
  if (!loaded && context_ == nullptr) return loaded;
  stamp_ = *stamp;  // a bad pair is complained of once, not at each connection
  if (loaded) {
    context_ = std::move(*loaded);
  } else {
    log::error("streaming: {}; the earlier certificate stays in use", loaded.error().message());
  }
  return context_;
}

}  // namespace fermata::cri::streaming
