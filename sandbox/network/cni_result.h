// What a CNI plugin answers: results down to version 0.3.0, and error objects. Pure; any thread. The texts are
// foreign: bounded, and checked before anything is believed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/result.h"

namespace fermata::sandbox {

struct CniResult {
  std::vector<std::string> ips;  // of the pod, without prefix lengths, in the plugin's order
  Json value;                    // all of it, for prevResult
};

// Of ADD. kInternal when it is not JSON, of another version than `version`, or has an address that is none.
Result<CniResult> ParseCniResult(std::string_view text, std::string_view version);

// The error of a plugin that ended with `status`: its error object where it printed one, else the end of `diagnostics`
// (its standard error).
Error CniFailure(std::string_view output, std::string_view diagnostics, int status);

// At most `limit` bytes of foreign text with everything that is not printable replaced.
std::string Printable(std::string_view text, size_t limit);

}  // namespace fermata::sandbox
