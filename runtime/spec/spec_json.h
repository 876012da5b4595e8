// config.json <-> Spec. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "runtime/base/json.h"
#include "runtime/base/result.h"
#include "runtime/spec/spec.h"

namespace fermata::runtime {

// kInvalidArgument for text that is not a config.json of runtime-spec 1.x, with the path of the field.
// A field of the specification that this engine does not honour is refused, not dropped.
Result<Spec> SpecFromJson(std::string_view text);

std::string SpecToJson(const Spec& spec);

// The same as values of the JSON library, for a record that holds a Spec among other things.
Result<Spec> SpecFromJsonValue(const Json& json);
Json SpecToJsonValue(const Spec& spec);

// The process object alone: what `exec --process` of the OCI command line takes.
Result<Process> ProcessFromJson(std::string_view text);

// The seccomp object alone: also the format of a Localhost profile.
Result<Seccomp> SeccompFromJson(std::string_view text);

}  // namespace fermata::runtime
