// IP addresses and ranges as values, v4 and v6 alike. Pure; any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/result.h"

namespace fermata::sandbox {

struct IpAddress {
  bool six = false;
  std::array<uint8_t, 16> bytes{};  // in the order of the network; the first four of a v4 one

  static std::optional<IpAddress> Parse(const std::string& text);
  [[nodiscard]] std::string Text() const;
  [[nodiscard]] size_t size() const { return six ? 16 : 4; }
  // The one that is `count` further on.
  [[nodiscard]] IpAddress Plus(uint64_t count) const;
  // The other way; of the last eight bytes.
  [[nodiscard]] uint64_t DistanceFrom(const IpAddress& base) const;
  auto operator<=>(const IpAddress&) const = default;
};

struct IpRange {
  IpAddress base;  // the network's
  int prefix = 0;

  // "10.1.0.0/16"; bits behind the prefix are dropped.
  static Result<IpRange> Parse(const std::string& text);
  [[nodiscard]] std::string Text() const { return base.Text() + "/" + std::to_string(prefix); }
  [[nodiscard]] bool Contains(const IpAddress& address) const;
  [[nodiscard]] IpAddress gateway() const { return base.Plus(1); }
  // How many pods have room: without the network's, the gateway's and the broadcast address; at most 2^32.
  [[nodiscard]] uint64_t Capacity() const;
};

}  // namespace fermata::sandbox
