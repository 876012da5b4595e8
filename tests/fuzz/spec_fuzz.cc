// config.json: what is read says what the text says (no number cut short, nothing of another type passed over), and is
// read again as the same after it was printed.
#include "runtime/spec/spec_json.h"
#include "tests/fuzz/fuzz.h"

namespace fermata::runtime {
namespace {

// Every value of `printed` that stands in `given` too is the same there. A null is an absent one.
bool Agrees(const Json& printed, const Json& given) {
  if (given.is_null()) return true;
  if (printed.is_object() && given.is_object()) {
    for (const auto& [key, value] : given.items()) {
      if (printed.contains(key) && !Agrees(printed.at(key), value)) return false;
    }
    return true;
  }
  if (printed.is_array() && given.is_array()) {
    if (printed.size() != given.size()) return false;
    for (size_t i = 0; i < printed.size(); ++i) {
      if (!Agrees(printed[i], given[i])) return false;
    }
    return true;
  }
  return printed == given;
}

void CheckSpec(std::string_view text) {
  const auto spec = SpecFromJson(text);
  if (!spec) return fuzz::CheckError(spec.error());
  const std::string printed = SpecToJson(*spec);
  const auto again = SpecFromJson(printed);
  fuzz::Check(again && *again == *spec, "printed and read again it is another: " + printed);
  const auto given = ParseJson(text, "input");
  fuzz::Check(given && Agrees(SpecToJsonValue(*spec), *given), "not what the text says: " + printed);
}

}  // namespace
}  // namespace fermata::runtime

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fermata::runtime::CheckSpec(fermata::fuzz::TextOf(data, size));
  return 0;
}
