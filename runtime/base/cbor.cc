#include "runtime/base/cbor.h"

namespace fermata {
namespace {

constexpr int kMaxDepth = 64;

// Ends at what ParseCbor refuses.
class CborCheck : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return false; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool start_object(size_t /*elements*/) override { return ++depth_ <= kMaxDepth; }
  bool end_object() override { return --depth_ >= 0; }
  bool key(string_t& /*name*/) override { return true; }
  bool start_array(size_t /*elements*/) override { return ++depth_ <= kMaxDepth; }
  bool end_array() override { return --depth_ >= 0; }
  bool parse_error(size_t /*position*/, const std::string& /*token*/, const Json::exception& /*failure*/) override {
    return false;
  }

 private:
  int depth_ = 0;
};

}  // namespace

// The library's reader calls itself for every level, so the depth is checked before it builds a tree.
Result<Json> ParseCbor(std::string_view bytes, std::string_view what) {
  CborCheck check;
  ASSIGN_OR_RETURN(const bool good,
                   ReadJson(what, [&] { return Json::sax_parse(bytes, &check, Json::input_format_t::cbor); }));
  if (!good) {
    return Error::Make(ErrorCode::kInvalidArgument, what, ": not CBOR, nested too deeply, or with a fraction in it");
  }
  return ReadJson(what, [&] { return Json::from_cbor(bytes); });
}

}  // namespace fermata
