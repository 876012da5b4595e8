// The server with TLS: certificates that are exchanged while it runs, and clients that need one.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <filesystem>

#include "cri/streaming/server.h"
#include "tests/fixtures/temporary.h"

namespace fermata::cri::streaming {
namespace {

namespace ssl = boost::asio::ssl;

// A certificate that signs itself, and its key, as PEM files.
void WriteCertificate(const std::string& certificate, const std::string& key, const std::string& name) {
  EVP_PKEY* pair = EVP_EC_gen("P-256");
  X509* x509 = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), -3600);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, pair);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509, X509_get_subject_name(x509));
  X509_sign(x509, pair, EVP_sha256());
  std::FILE* file = std::fopen(certificate.c_str(), "w");
  PEM_write_X509(file, x509);
  (void)std::fclose(file);
  file = std::fopen(key.c_str(), "w");
  PEM_write_PrivateKey(file, pair, nullptr, nullptr, 0, nullptr, nullptr);
  (void)std::fclose(file);
  X509_free(x509);
  EVP_PKEY_free(pair);
}

class NoBackend : public Backend {
 public:
  void Open(const StreamRequest&, std::function<void(Result<UniqueFd>)> done) override {
    done(Error::Make(ErrorCode::kInternal, "none"));
  }
  void Sockets(const sandbox::SandboxId&, std::function<void(Result<std::vector<UniqueFd>>)> done) override {
    done(Error::Make(ErrorCode::kInternal, "none"));
  }
};

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteCertificate(Path("cert"), Path("key"), "first");
    options_.tls_certificate = Path("cert");
    options_.tls_key = Path("key");
  }
  std::string Path(const std::string& name) { return directory_ / name; }
  void Start() {
    auto server = Server::Start(options_, backend_);
    ASSERT_TRUE(server) << server.error().message();
    server_ = std::move(*server);
  }
  // The name in the server's certificate and the first line of its answer; or the error.
  std::string Ask(ssl::context& context) {
    asio::io_context io;
    ssl::stream<asio::ip::tcp::socket> stream(io, context);
    ErrorCodeOf error;
    stream.next_layer().connect({asio::ip::address_v4::loopback(), server_->port()}, error);
    stream.handshake(ssl::stream_base::client, error);
    if (error) return error.message();
    X509* peer = SSL_get1_peer_certificate(stream.native_handle());
    char name[64] = {};
    X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
    X509_free(peer);
    asio::write(stream, asio::buffer(std::string_view("GET / HTTP/1.1\r\n\r\n")), error);
    asio::streambuf answer;
    asio::read_until(stream, answer, "\r\n", error);
    if (error) return error.message();
    return std::string(name) + " " + std::string(static_cast<const char*>(answer.data().data()), 12);
  }
  std::string Ask() {
    ssl::context context(ssl::context::tls_client);
    return Ask(context);
  }

  testing::TemporaryDirectory directory_;
  ServerOptions options_;
  NoBackend backend_;
  std::unique_ptr<Server> server_;
};

TEST_F(TlsTest, ACertificateIsExchangedWithoutARestart) {
  Start();
  EXPECT_EQ(server_->UrlFor({}).value().substr(0, 18), "https://127.0.0.1:");
  EXPECT_EQ(Ask(), "first HTTP/1.1 404");
  WriteCertificate(Path("cert2"), Path("key2"), "second");
  std::filesystem::rename(Path("key2"), Path("key"));
  std::filesystem::rename(Path("cert2"), Path("cert"));
  EXPECT_EQ(Ask(), "second HTTP/1.1 404");
  std::FILE* file = std::fopen(Path("cert").c_str(), "w");
  (void)std::fputs("nonsense", file);
  (void)std::fclose(file);
  EXPECT_EQ(Ask(), "second HTTP/1.1 404") << "the earlier one stays in use";
}

TEST_F(TlsTest, OldProtocolsAreRefused) {
  Start();
  ssl::context context(ssl::context::tls_client);
  (void)SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_VERSION);
  (void)SSL_CTX_set_max_proto_version(context.native_handle(), TLS1_1_VERSION);
  SSL_CTX_set_security_level(context.native_handle(), 0);
  EXPECT_EQ(Ask(context).find("HTTP"), std::string::npos);
}

TEST_F(TlsTest, ClientsNeedACertificateOfTheAuthority) {
  WriteCertificate(Path("ca"), Path("ca-key"), "client");
  options_.client_ca = Path("ca");
  Start();
  EXPECT_EQ(Ask().find("HTTP"), std::string::npos);
  ssl::context context(ssl::context::tls_client);
  context.use_certificate_chain_file(Path("ca"));
  context.use_private_key_file(Path("ca-key"), ssl::context::pem);
  EXPECT_EQ(Ask(context), "first HTTP/1.1 404");
}

TEST_F(TlsTest, WhatDoesNotFitTogetherIsRefusedAtTheStart) {
  options_.tls_key = Path("missing");
  EXPECT_FALSE(Server::Start(options_, backend_));
  options_ = {};
  options_.client_ca = Path("cert");
  EXPECT_FALSE(Server::Start(options_, backend_));
  options_ = {};
  options_.address = "localhost";
  EXPECT_FALSE(Server::Start(options_, backend_));
}

}  // namespace
}  // namespace fermata::cri::streaming
