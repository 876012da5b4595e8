#include "sandbox/probe/http_probe.h"

#include <strings.h>

#include <algorithm>
#include <string_view>

namespace fermata::sandbox::probe {
namespace {

constexpr int kMostRedirects = 10;
constexpr const char* kUserAgent = "User-Agent: kube-probe/1.36";

bool Is(const std::string& a, const char* b) { return ::strcasecmp(a.c_str(), b) == 0; }

// What a path may hold but a request must not.
std::string Escaped(const std::string& path) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > ' ' && byte < 0x7f && c != '"' && c != '<' && c != '>') {
      out += c;
    } else {
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

// Of an absolute URL of http or https, in lower case.
std::string HostOf(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "";
  url.remove_prefix(scheme + 3);
  url = url.substr(0, url.find_first_of("/?#"));
  if (const size_t user = url.rfind('@'); user != std::string_view::npos) url.remove_prefix(user + 1);
  const size_t end = url.starts_with('[') ? url.find(']') : url.find(':');
  std::string host(url.substr(0, end));
  std::ranges::transform(host, host.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return host;
}

// One probe from the first request to the last redirection.
class HttpProbe : public std::enable_shared_from_this<HttpProbe> {
 public:
  HttpProbe(NetworkRun run, HttpAction action, ProbeDone done)
      : run_(std::move(run)), action_(std::move(action)), headers_(HttpHeaders(action_)), done_(std::move(done)) {}

  void Request() {
    run_.find([self = shared_from_this()](Result<Destination> found) {
      if (!found) return self->done_({Outcome::kError, found.error().message()});
      if (self->url_.empty()) self->url_ = HttpUrl(self->action_, found->host);
      Transfer transfer{.url = self->url_,
                        .headers = self->headers_,
                        .connect_only = false,
                        .socket = found->socket,
                        .deadline = self->run_.deadline};
      self->run_.loop->Start(std::move(transfer), [self](const TransferEnd& end) { self->OnEnd(end); });
    });
  }

 private:
  void OnEnd(const TransferEnd& end) {
    if (end.kind == TransferEnd::Kind::kBodyBroken) return done_({Outcome::kError, end.error});
    if (end.kind == TransferEnd::Kind::kNoAnswer) return done_({Outcome::kFailure, "Get " + url_ + ": " + end.error});
    if (!end.location.empty() && HostOf(end.location) == HostOf(url_)) {
      if (++redirects_ >= kMostRedirects) {
        return done_({Outcome::kFailure, "Get " + url_ + ": stopped after 10 redirects"});
      }
      url_ = end.location;
      return Request();
    }
    if (end.status < 200 || end.status >= 400) {
      return done_({Outcome::kFailure, "HTTP probe failed with statuscode: " + std::to_string(end.status)});
    }
    if (end.status >= 300) {
      return done_({Outcome::kWarning, "probe terminated redirects, response body: " + end.body});
    }
    done_({Outcome::kSuccess, end.body});
  }

  const NetworkRun run_;
  const HttpAction action_;
  const std::vector<std::string> headers_;
  const ProbeDone done_;
  std::string url_;
  int redirects_ = 0;
};

}  // namespace

std::vector<std::string> HttpHeaders(const HttpAction& action) {
  std::vector<std::string> headers;
  bool agent = false;
  bool accept = false;
  for (const auto& [name, value] : action.headers) {
    const bool is_agent = Is(name, "User-Agent");
    const bool is_accept = Is(name, "Accept");
    agent = agent || is_agent;
    accept = accept || is_accept;
    if (!value.empty()) {
      headers.push_back(name + ": " + value);
    } else if (is_agent || is_accept) {
      headers.push_back(name + ":");
    } else if (!Is(name, "Host")) {  // an empty one of that name is as good as none
      headers.push_back(name + ";");
    }
  }
  if (!agent) headers.emplace_back(kUserAgent);
  if (!accept) headers.emplace_back("Accept: */*");
  headers.emplace_back("Connection: close");
  return headers;
}

std::string HttpUrl(const HttpAction& action, const std::string& host) {
  return (action.https ? "https://" : "http://") + HostAndPort(host, action.port) + Escaped(action.path);
}

void RunHttpProbe(const NetworkRun& run, const HttpAction& action, ProbeDone done) {
  std::make_shared<HttpProbe>(run, action, std::move(done))->Request();
}

void RunHttpHook(const NetworkRun& run, const HttpAction& action, std::function<void(Result<>)> done) {
  run.find([run, action, done = std::move(done)](const Result<Destination>& found) {
    if (!found) return done(found.error());
    Transfer transfer{.url = HttpUrl(action, found->host),
                      .headers = HttpHeaders(action),
                      .connect_only = false,
                      .socket = found->socket,
                      .deadline = run.deadline};
    const std::string url = transfer.url;
    run.loop->Start(std::move(transfer), [run, action, done, url](const TransferEnd& end) {
      if (end.kind != TransferEnd::Kind::kNoAnswer) return done({});
      // TLS that was answered in plain HTTP: once more without.
      if (action.https && end.error.find("wrong version number") != std::string::npos) {
        HttpAction plain = action;
        plain.https = false;
        return RunHttpHook(run, plain, done);
      }
      done(Error::Make(ErrorCode::kUnavailable, "get ", url, ": ", end.error));
    });
  });
}

}  // namespace fermata::sandbox::probe
