#include "sandbox/network/address_pool.h"

namespace fermata::sandbox {
namespace {

constexpr uint64_t kFirst = 2;  // after the network's and the gateway's

}  // namespace

Result<IpAddress> AddressPool::Take(const std::string& holder) {
  const uint64_t capacity = range_.Capacity();
  if (held_.size() < capacity) {
    for (uint64_t tries = 0; tries <= held_.size(); ++tries) {  // one of so many is free
      const IpAddress candidate = range_.base.Plus(kFirst + next_);
      next_ = (next_ + 1) % capacity;
      if (held_.emplace(candidate, holder).second) return candidate;
    }
  }
  std::string holders;
  size_t named = 0;
  for (const auto& [address, name] : held_) {
    if (++named > 3) break;
    holders += (holders.empty() ? "" : ", ") + name + " (" + address.Text() + ")";
  }
  return Error::Make(ErrorCode::kResourceExhausted, "all ", std::to_string(held_.size()), " addresses of ",
                     range_.Text(), " are taken: by ", holders, held_.size() > 3 ? " and others" : "");
}

Result<> AddressPool::TakeThis(const IpAddress& address, const std::string& holder) {
  if (!range_.Contains(address) || address == range_.base || address == range_.gateway()) {
    return Error::Make(ErrorCode::kInvalidArgument, address.Text(), " is no address for a pod in ", range_.Text());
  }
  const auto [found, taken] = held_.emplace(address, holder);
  if (taken) return {};
  return Error::Make(ErrorCode::kAlreadyExists, address.Text(), " is the address of ", found->second);
}

}  // namespace fermata::sandbox
