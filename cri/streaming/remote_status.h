// What a client of exec and attach is told at the end, in the words of the Kubernetes API, and the sizes of a terminal
// that it tells. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cri/streaming/session.h"

namespace fermata::cri::streaming {

// The Status object of v4 and v5.
std::string StatusJson(const SessionEnd& end);
// The plain text of older protocols; empty: all is well.
std::string StatusText(const SessionEnd& end);

// {"Width":80,"Height":24} objects one after the other, in pieces as they come.
class ResizeReader {
 public:
  using Sink = std::function<void(uint16_t columns, uint16_t rows)>;
  // What is no such object is passed over; so is one that is longer than any.
  void Read(std::string_view data, const Sink& sink);

 private:
  std::string object_;
  bool inside_ = false;
};

}  // namespace fermata::cri::streaming
