#include "cri/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace fermata::cri::cli {
namespace {

constexpr char kCtrlP = 'P' - 64;
constexpr char kCtrlQ = 'Q' - 64;

}  // namespace

RawTerminal::RawTerminal() {
  if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
  termios raw = before_;
  ::cfmakeraw(&raw);
  changed_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

RawTerminal::~RawTerminal() {
  if (changed_) (void)::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

std::optional<std::pair<unsigned, unsigned>> TerminalSize() {
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return std::nullopt;
  return std::pair<unsigned, unsigned>{size.ws_col, size.ws_row};
}

std::string DetachKeys::Pass(std::string_view typed) {
  std::string passed;
  for (const char key : typed) {
    if (held_ && key == kCtrlQ) {
      detached_ = true;
      return passed;
    }
    if (held_) passed.push_back(kCtrlP);
    held_ = key == kCtrlP;
    if (!held_) passed.push_back(key);
  }
  return passed;
}

}  // namespace fermata::cri::cli
