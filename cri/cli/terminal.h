// Our own terminal while it is a window onto another: raw mode, its size, and the keys that leave. One thread.
#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace fermata::cri::cli {

// Standard input in raw mode for as long as this lives; nothing happens where it is no terminal.
class RawTerminal {
 public:
  RawTerminal();
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios before_{};
  bool changed_ = false;
};

// Columns and rows of standard input's terminal.
std::optional<std::pair<unsigned, unsigned>> TerminalSize();

// Finds ctrl-p ctrl-q in what is typed. A ctrl-p alone goes through, with what comes after it.
class DetachKeys {
 public:
  // What is to be passed on of `typed`; detached() is true after the second key.
  std::string Pass(std::string_view typed);
  [[nodiscard]] bool detached() const { return detached_; }

 private:
  bool held_ = false;
  bool detached_ = false;
};

}  // namespace fermata::cri::cli
