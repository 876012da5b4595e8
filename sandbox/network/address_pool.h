// AddressPool: who has which address of a range. In memory only: what is durable is in the attachments, from which it
// is filled at start. One thread at a time.
#pragma once

#include <map>
#include <string>

#include "sandbox/network/ip_range.h"

namespace fermata::sandbox {

class AddressPool {
 public:
  explicit AddressPool(IpRange range) : range_(range) {}

  // The next free one after the one given last, so that an address rests as long as possible before it is used again.
  // kResourceExhausted names the range and who holds it.
  Result<IpAddress> Take(const std::string& holder);
  // This very one. kAlreadyExists names who holds it.
  Result<> TakeThis(const IpAddress& address, const std::string& holder);
  // Nothing for one that is free.
  void Release(const IpAddress& address) { held_.erase(address); }

  [[nodiscard]] const IpRange& range() const { return range_; }
  [[nodiscard]] size_t held() const { return held_.size(); }

 private:
  const IpRange range_;
  std::map<IpAddress, std::string> held_;
  uint64_t next_ = 0;  // of the pods' addresses, from 0
};

}  // namespace fermata::sandbox
