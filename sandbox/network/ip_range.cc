#include "sandbox/network/ip_range.h"

#include <arpa/inet.h>

#include <charconv>

namespace fermata::sandbox {
namespace {

// The address without the bits behind `prefix`.
IpAddress Masked(IpAddress address, int prefix) {
  for (int i = 0; i < static_cast<int>(address.size()); ++i) {
    const int kept = prefix - 8 * i;
    if (kept >= 8) continue;
    address.bytes.at(static_cast<size_t>(i)) &= static_cast<uint8_t>(kept <= 0 ? 0 : 0xff << (8 - kept));
  }
  return address;
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(const std::string& text) {
  IpAddress address;
  if (::inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) return address;
  address.six = true;
  if (::inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

std::string IpAddress::Text() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  (void)::inet_ntop(six ? AF_INET6 : AF_INET, bytes.data(), text.data(), text.size());  // cannot fail
  return text.data();
}

IpAddress IpAddress::Plus(uint64_t count) const {
  IpAddress sum = *this;
  for (size_t i = size(); i-- > 0 && count != 0;) {
    count += sum.bytes.at(i);
    sum.bytes.at(i) = static_cast<uint8_t>(count & 0xff);
    count >>= 8;
  }
  return sum;
}

uint64_t IpAddress::DistanceFrom(const IpAddress& base) const {
  uint64_t mine = 0;
  uint64_t its = 0;
  for (size_t i = six ? 8 : 0; i < size(); ++i) {
    mine = mine << 8 | bytes.at(i);
    its = its << 8 | base.bytes.at(i);
  }
  return mine - its;
}

Result<IpRange> IpRange::Parse(const std::string& text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::Parse(text.substr(0, slash));
  int prefix = -1;
  const char* end = text.data() + text.size();
  const bool number = slash != std::string::npos && std::from_chars(text.data() + slash + 1, end, prefix).ptr == end;
  const int most = address && address->six ? 126 : 30;  // room for a gateway and a pod
  if (!address || !number || prefix < 8 || prefix > most) {
    return Error::Make(ErrorCode::kInvalidArgument, "\"", text, "\" is no range of addresses for pods");
  }
  return IpRange{Masked(*address, prefix), prefix};
}

bool IpRange::Contains(const IpAddress& address) const {
  return address.six == base.six && Masked(address, prefix) == base;
}

uint64_t IpRange::Capacity() const {
  const int bits = static_cast<int>(base.size()) * 8 - prefix;
  const uint64_t all = bits >= 32 ? uint64_t{1} << 32 : uint64_t{1} << bits;
  return all - 3;
}

}  // namespace fermata::sandbox
