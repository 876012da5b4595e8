// The dictionary that zlib's compression of SPDY/3 header blocks begins with (draft-mbelshe-httpbis-spdy-00, 2.6.10.1):
// the lengths and names of common headers, methods, dates and types, one after the other. Both ends need it byte for
// byte.
#pragma once

#include <array>

namespace fermata::cri::streaming {

extern const std::array<unsigned char, 1423> kSpdyDictionary;

}  // namespace fermata::cri::streaming
