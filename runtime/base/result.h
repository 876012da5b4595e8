// Result<T>: a value or an Error; the one way in which functions of this project fail.
//
// Own and small instead of std::expected because that one is not [[nodiscard]], needs C++23 with
// libstdc++ 12, and is not understood by the clang tools of Debian 12. The surface is the same, so
// it can become an alias later.
//
// Rules for texts: the bottom names the call and its object ("open /x: Permission denied"); every
// caller may add in verbs what it was doing ("start c1: ..."); no "failed to", no full stop.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace fermata {

// What the asker can do about it; an errno alone never becomes more than kInternal.
enum class ErrorCode : uint8_t {
  kInternal,
  kInvalidArgument,
  kNotFound,
  kAlreadyExists,
  kFailedPrecondition,
  kDeadlineExceeded,
  kResourceExhausted,
  kUnavailable,
  kUnimplemented,
  kCancelled,
};

class [[nodiscard]] Error {
 public:
  Error(ErrorCode code, std::string message, int saved_errno = 0)
      : code_(code), errno_(saved_errno), message_(std::move(message)) {}

  // Joins the parts into one text: Error::Make(ErrorCode::kNotFound, "image ", name).
  template <typename... Parts>
  static Error Make(ErrorCode code, const Parts&... parts) {
    std::string text;
    (text.append(std::string_view(parts)), ...);
    return {code, std::move(text)};
  }
  // From errno as it is now: "<parts>: Permission denied". Takes views, so that building the text
  // of the argument list cannot disturb errno.
  template <typename... Parts>
  static Error Errno(const Parts&... parts) {
    return FromErrno(errno, parts...);
  }
  template <typename... Parts>
  static Error FromErrno(int number, const Parts&... parts) {
    std::string text;
    (text.append(std::string_view(parts)), ...);
    text.append(": ").append(ErrnoText(number));
    return {ErrorCode::kInternal, std::move(text), number};
  }

  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] const std::string& message() const { return message_; }
  // The errno of the lowest failure, 0 if it did not come from a system call.
  [[nodiscard]] int saved_errno() const { return errno_; }

  // Puts what the caller was doing in front.
  template <typename... Parts>
  Error Wrap(const Parts&... parts) && {
    std::string text;
    (text.append(std::string_view(parts)), ...);
    message_.insert(0, text.append(": "));
    return std::move(*this);
  }
  // Gives the failure a meaning that only this caller knows.
  Error WithCode(ErrorCode code) && {
    code_ = code;
    return std::move(*this);
  }

 private:
  static const char* ErrnoText(int number) {
    const char* text = strerrordesc_np(number);  // thread-safe, no locale
    return text != nullptr ? text : "Unknown error";
  }

  ErrorCode code_;
  int errno_;
  std::string message_;
};

template <typename T = void>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const& { return std::get<1>(state_); }
  [[nodiscard]] Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> : public Result<std::monostate> {
 public:
  Result() : Result<std::monostate>(std::monostate{}) {}
  Result(Error error) : Result<std::monostate>(std::move(error)) {}
};

namespace result_internal {
inline Error Context(Error error) { return error; }
template <typename... Parts>
Error Context(Error error, const Parts&... parts) {
  return std::move(error).Wrap(parts...);
}
}  // namespace result_internal

}  // namespace fermata

#define FERMATA_CONCAT_INNER(a, b) a##b
#define FERMATA_CONCAT(a, b) FERMATA_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(expression [, context...]): leaves the function with the error, context in front.
#define RETURN_IF_ERROR(expression, ...)                                                                 \
  do {                                                                                                   \
    if (auto result_ = (expression); !result_)                                                           \
      return ::fermata::result_internal::Context(std::move(result_).error() __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)

// ASSIGN_OR_RETURN(declaration, expression [, context...])
#define ASSIGN_OR_RETURN(declaration, expression, ...) \
  FERMATA_ASSIGN_OR_RETURN(FERMATA_CONCAT(result_, __LINE__), declaration, expression __VA_OPT__(, ) __VA_ARGS__)
#define FERMATA_ASSIGN_OR_RETURN(result, declaration, expression, ...)                                           \
  auto result = (expression);                                                                                    \
  if (!result) return ::fermata::result_internal::Context(std::move(result).error() __VA_OPT__(, ) __VA_ARGS__); \
  declaration = std::move(result).value()
