// Metrics of this process: each family is declared, as an object that lives as long as the process, in the file that
// counts. Counting is an atomic add (a histogram: two) on a series that With() has found without a lock; nothing is
// allocated but for a combination of labels that is new. Who shows them (cri/metrics_page.h) asks Collect().
//
// Not prometheus-cpp's own counters: those of Debian 12 take a lock for an observation and allocate for each label.
// Names, units and labels: the project Prometheus, "Metric and label naming". Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace fermata::metrics {

enum class Kind : uint8_t { kCounter, kGauge, kHistogram };

// Upper bounds of a histogram's buckets in seconds; the last bucket has none.
inline constexpr std::array kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                       0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 60.0};

// One combination of labels. Never moves and never goes.
class Series {
 public:
  Series(std::vector<std::string> labels, bool histogram)
      : labels_(std::move(labels)), buckets_(histogram ? kBounds.size() + 1 : 0) {}

  void Add(int64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  // Of a histogram.
  void Observe(std::chrono::nanoseconds took);

  [[nodiscard]] const std::vector<std::string>& labels() const { return labels_; }
  [[nodiscard]] int64_t value() const { return value_.load(std::memory_order_relaxed); }  // histogram: nanoseconds

 private:
  friend class Family;
  const std::vector<std::string> labels_;
  std::atomic<int64_t> value_ = 0;
  std::vector<std::atomic<uint64_t>> buckets_;
  Series* next_ = nullptr;
};

// What a family was at one moment, for whoever prints it.
struct SeriesValue {
  std::vector<std::string> labels;  // values, in the order of the family's names
  double value = 0;                 // histogram: the sum, seconds
  std::vector<uint64_t> buckets;    // each for itself, not cumulated
};
struct FamilyValue {
  std::string name, help;
  Kind kind = Kind::kCounter;
  std::vector<std::string> labels;  // names
  std::vector<SeriesValue> series;
};

class Family {
 public:
  // More combinations of labels than this are one series, with "other" for each label: what a tenant may choose does
  // not fill the memory.
  static constexpr size_t kMaxSeries = 256;

  // The texts are literals.
  Family(Kind kind, const char* name, const char* help, std::initializer_list<const char*> labels = {});
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;
  ~Family();

  // The series with these values, as many as there are names; made if missing.
  Series& With(std::initializer_list<std::string_view> values = {});
  [[nodiscard]] FamilyValue Read() const;

 private:
  friend std::vector<FamilyValue> Collect();
  [[nodiscard]] Series* Find(std::initializer_list<std::string_view> values, const Series* end) const;

  const Kind kind_;
  const char* const name_;
  const char* const help_;
  const std::vector<const char*> labels_;
  std::atomic<Series*> first_ = nullptr;
  std::atomic<size_t> count_ = 0;
  Family* next_ = nullptr;
};

// All families of the process, by name.
std::vector<FamilyValue> Collect();

}  // namespace fermata::metrics
