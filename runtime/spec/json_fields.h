// How the files of this folder take JSON apart: by the throwing accessors of the JSON library, inside ReadJson.
// Not for other folders. Pure; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/result.h"

namespace fermata::runtime {

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;

inline Error InvalidField(const std::string& where, const std::string& why) {
  return Error::Make(ErrorCode::kInvalidArgument, "config.json: ", where, ": ", why);
}

// The library would cut a number down to the size of T; a user id of 2^32 must not become 0.
template <typename T>
T ValueOf(const Json& value, const char* key) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<uint64_t>())
                                                 : value.is_number_integer() && std::in_range<T>(value.get<int64_t>());
    if (!fits) throw Json::out_of_range::create(401, std::string(key) + ": is no number of that range", &value);
  }
  return value.get<T>();
}

template <typename T>
T GetRequired(const Json& object, const char* key) {
  return ValueOf<T>(object.at(key), key);
}

// Nullptr where there is none, or a null, which is as good as absent in the Go programs that write these files.
// Throws if `object` is none: "user": "1000" must not mean root.
inline const Json* Find(const Json& object, const char* key) {
  const auto& fields = object.get_ref<const Json::object_t&>();
  const auto found = fields.find(key);
  return found == fields.end() || found->second.is_null() ? nullptr : &found->second;
}

template <typename T>
std::optional<T> GetOptional(const Json& object, const char* key) {
  const Json* found = Find(object, key);
  if (found == nullptr) return std::nullopt;
  return ValueOf<T>(*found, key);
}

template <typename T>
T Get(const Json& object, const char* key, T otherwise = {}) {
  return GetOptional<T>(object, key).value_or(std::move(otherwise));
}

// The object; an empty one if absent.
inline const Json& Child(const Json& object, const char* key) {
  static const Json kEmpty = Json::object();
  const Json* found = Find(object, key);
  if (found == nullptr) return kEmpty;
  (void)found->get_ref<const Json::object_t&>();  // throws for anything else
  return *found;
}

// The items of an array; none if absent.
inline const Json::array_t& List(const Json& object, const char* key) {
  static const Json::array_t kEmpty;
  const Json* found = Find(object, key);
  return found == nullptr ? kEmpty : found->get_ref<const Json::array_t&>();
}

// What else the object holds is ignored, as runtime-spec wants it (config.md, Extensibility).
inline Result<> IsObject(const Json& json, const std::string& where) {
  if (!json.is_object()) return InvalidField(where, "must be an object");
  return {};
}

template <typename T>
void PutOptional(Json& object, const char* key, const std::optional<T>& value) {
  if (value) object[key] = *value;
}
template <typename T>
void PutNotEmpty(Json& object, const char* key, const T& value) {
  if (!value.empty()) object[key] = value;
}

}  // namespace fermata::runtime
