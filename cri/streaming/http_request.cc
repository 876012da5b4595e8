#include "cri/streaming/http_request.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>

namespace fermata::cri::streaming {
namespace {

namespace http = boost::beast::http;

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string_view ReasonOf(int status) {
  const auto text = http::obsolete_reason(static_cast<http::status>(status));
  return {text.data(), text.size()};
}

}  // namespace

Result<HttpRequest> HttpRequest::Parse(std::string_view head) {
  http::request_parser<http::empty_body> parser;
  parser.header_limit(kMaxHttpHead);
  boost::beast::error_code error;
  (void)parser.put(boost::asio::buffer(head.data(), head.size()), error);
  if (error || !parser.is_header_done()) return Error::Make(ErrorCode::kInvalidArgument, "not an HTTP request");
  HttpRequest request;
  const auto& message = parser.get();
  request.verb = std::string(message.method_string());
  request.target = std::string(message.target());
  for (const auto& field : message) {
    request.headers_.emplace_back(Lower({field.name_string().data(), field.name_string().size()}),
                                  std::string(field.value()));
  }
  if (message.chunked() || parser.content_length_remaining().value_or(0) != 0) {
    return Error::Make(ErrorCode::kInvalidArgument, "a request with a body");
  }
  return request;
}

std::string HttpRequest::Header(std::string_view name) const {
  const auto found = std::ranges::find(headers_, name, &std::pair<std::string, std::string>::first);
  return found == headers_.end() ? "" : found->second;
}

std::vector<std::string> HttpRequest::Words(std::string_view name) const {
  std::vector<std::string> words;
  for (const auto& [key, value] : headers_) {
    if (key != name) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      if (const auto word = Trimmed(rest.substr(0, comma)); !word.empty()) words.emplace_back(word);
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
  }
  return words;
}

bool HttpRequest::HasWord(std::string_view name, std::string_view word) const {
  return std::ranges::any_of(Words(name), [&](const std::string& one) { return Lower(one) == Lower(word); });
}

std::optional<StreamTarget> ParseTarget(std::string_view target) {
  for (const Method method : {Method::kExec, Method::kAttach, Method::kPortForward}) {
    const std::string prefix = "/" + std::string(NameOf(method)) + "/";
    if (target.starts_with(prefix)) return StreamTarget{method, std::string(target.substr(prefix.size()))};
  }
  return std::nullopt;
}

std::vector<std::string> SpdyProtocols(Method method) {
  if (method == Method::kPortForward) return {"portforward.k8s.io"};
  return {"v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"};
}

std::optional<SpdyProtocol> ChooseSpdyProtocol(const std::vector<std::string>& offered, Method method) {
  const std::vector<std::string> ours = SpdyProtocols(method);
  for (const std::string& name : offered) {
    const auto found = std::ranges::find(ours, name);
    if (found == ours.end()) continue;
    const auto place = static_cast<int>(found - ours.begin());
    return SpdyProtocol{name, method == Method::kPortForward ? 0 : static_cast<int>(ours.size()) - place};
  }
  return std::nullopt;
}

std::string HttpError(int status, std::string_view text, std::string_view more) {
  std::string answer = "HTTP/1.1 " + std::to_string(status) + " ";
  answer.append(ReasonOf(status)).append("\r\n").append(more);
  answer.append("Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n");
  answer.append("Content-Length: ").append(std::to_string(text.size() + 1)).append("\r\n\r\n");
  return answer.append(text).append("\n");
}

std::string HttpSwitching(std::string_view upgrade, const std::vector<std::pair<std::string, std::string>>& headers) {
  std::string answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ";
  answer.append(upgrade).append("\r\n");
  for (const auto& [name, value] : headers) answer.append(name).append(": ").append(value).append("\r\n");
  return answer.append("\r\n");
}

}  // namespace fermata::cri::streaming
