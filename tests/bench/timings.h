// Durations by name, and their percentiles. One of these a thread; Merge puts them together.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace fermata::bench {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

class Timings {
 public:
  void Add(const std::string& name, Milliseconds duration) { values_[name].push_back(duration.count()); }
  void Merge(const Timings& other) {
    for (const auto& [name, values] : other.values_)
      values_[name].insert(values_[name].end(), values.begin(), values.end());
  }
  [[nodiscard]] size_t Count(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? 0 : found->second.size();
  }
  // The smallest value that `percent` of all do not exceed (nearest rank); 0 without values.
  [[nodiscard]] double Percentile(const std::string& name, double percent) const {
    const auto found = values_.find(name);
    if (found == values_.end() || found->second.empty()) return 0;
    std::vector<double> sorted = found->second;
    std::sort(sorted.begin(), sorted.end());
    const auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
    return sorted[std::max<size_t>(rank, 1) - 1];
  }

 private:
  std::map<std::string, std::vector<double>> values_;
};

}  // namespace fermata::bench
