// The head of a client's HTTP request, what it wants to become, and the answers. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cri/streaming/token_store.h"
#include "runtime/base/result.h"

namespace fermata::cri::streaming {

inline constexpr size_t kMaxHttpHead = size_t{16} << 10;

class HttpRequest {
 public:
  // A whole head, with the empty line. kInvalidArgument for what is none.
  static Result<HttpRequest> Parse(std::string_view head);

  std::string verb, target;
  [[nodiscard]] std::string Header(std::string_view name) const;  // the first; empty: none
  // The words of all such headers, between commas.
  [[nodiscard]] std::vector<std::string> Words(std::string_view name) const;
  [[nodiscard]] bool HasWord(std::string_view name, std::string_view word) const;  // in any case

 private:
  std::vector<std::pair<std::string, std::string>> headers_;  // names in lower case
};

struct StreamTarget {
  Method method = Method::kExec;
  std::string token;
};
// Of "/exec/TOKEN" and its like.
std::optional<StreamTarget> ParseTarget(std::string_view target);

// The first protocol that the client offers and we have, for SPDY: 1 to 5 of channel.k8s.io, 0 for portforward.k8s.io.
struct SpdyProtocol {
  std::string name;
  int version = 0;
};
std::optional<SpdyProtocol> ChooseSpdyProtocol(const std::vector<std::string>& offered, Method method);
std::vector<std::string> SpdyProtocols(Method method);

// A refusal with a text; `more` are further headers, each with its line's end.
std::string HttpError(int status, std::string_view text, std::string_view more = {});
// 101, with the headers given.
std::string HttpSwitching(std::string_view upgrade, const std::vector<std::pair<std::string, std::string>>& headers);

}  // namespace fermata::cri::streaming
