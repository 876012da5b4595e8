// $(VAR) in commands, arguments and values of variables, as kubelet expands it
// (kubernetes/third_party/forked/golang/expansion): "$$" is "$", what names no variable stays as it is.
// Pure, any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace fermata::sandbox::pods {

// kInvalidArgument when the result is larger than limit_bytes: values that name each other twice double each time.
Result<std::string> Expand(std::string_view text, const std::map<std::string, std::string>& variables,
                           size_t limit_bytes);

}  // namespace fermata::sandbox::pods
