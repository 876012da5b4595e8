#include "runtime/base/metrics.h"

#include <algorithm>
#include <mutex>

namespace fermata::metrics {
namespace {

constexpr double kNanosecond = 1e-9;

std::mutex& FamiliesMutex() {
  static std::mutex mutex;  // guards the list of families; counting does not take it
  return mutex;
}

Family*& FirstFamily() {
  static Family* first = nullptr;
  return first;
}

bool Matches(const Series& series, std::initializer_list<std::string_view> values) {
  return std::equal(series.labels().begin(), series.labels().end(), values.begin(), values.end());
}

}  // namespace

void Series::Observe(std::chrono::nanoseconds took) {
  const double seconds = static_cast<double>(took.count()) * kNanosecond;
  const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  buckets_[static_cast<size_t>(bound - kBounds.begin())].fetch_add(1, std::memory_order_relaxed);
  value_.fetch_add(took.count(), std::memory_order_relaxed);
}

Family::Family(Kind kind, const char* name, const char* help, std::initializer_list<const char*> labels)
    : kind_(kind), name_(name), help_(help), labels_(labels) {
  const std::lock_guard lock(FamiliesMutex());
  next_ = FirstFamily();
  FirstFamily() = this;
}

Family::~Family() {
  {
    const std::lock_guard lock(FamiliesMutex());
    Family** link = &FirstFamily();
    while (*link != this) link = &(*link)->next_;
    *link = next_;
  }
  for (Series* series = first_.load(); series != nullptr;) {
    const Series* gone = series;
    series = series->next_;
    delete gone;
  }
}

Series* Family::Find(std::initializer_list<std::string_view> values, const Series* end) const {
  for (Series* series = first_.load(std::memory_order_acquire); series != end; series = series->next_) {
    if (Matches(*series, values)) return series;
  }
  return nullptr;
}

Series& Family::With(std::initializer_list<std::string_view> values) {
  if (Series* found = Find(values, nullptr); found != nullptr) return *found;
  std::vector<std::string> labels(values.begin(), values.end());
  if (count_.fetch_add(1) >= kMaxSeries) labels.assign(labels_.size(), "other");
  auto* made = new Series(std::move(labels), kind_ == Kind::kHistogram);
  made->next_ = first_.load(std::memory_order_acquire);
  for (;;) {
    // Somebody else may have been faster, also with the one for all others.
    for (Series* series = made->next_; series != nullptr; series = series->next_) {
      if (series->labels() != made->labels()) continue;
      delete made;
      return *series;
    }
    if (first_.compare_exchange_weak(made->next_, made, std::memory_order_acq_rel)) return *made;
  }
}

FamilyValue Family::Read() const {
  FamilyValue value{name_, help_, kind_, {labels_.begin(), labels_.end()}, {}};
  for (const Series* series = first_.load(std::memory_order_acquire); series != nullptr; series = series->next_) {
    SeriesValue& one = value.series.emplace_back();
    one.labels = series->labels();
    one.value = static_cast<double>(series->value()) * (kind_ == Kind::kHistogram ? kNanosecond : 1.0);
    for (const auto& bucket : series->buckets_) one.buckets.push_back(bucket.load(std::memory_order_relaxed));
  }
  std::sort(value.series.begin(), value.series.end(),
            [](const SeriesValue& a, const SeriesValue& b) { return a.labels < b.labels; });
  return value;
}

std::vector<FamilyValue> Collect() {
  std::vector<FamilyValue> all;
  {
    const std::lock_guard lock(FamiliesMutex());
    for (const Family* family = FirstFamily(); family != nullptr; family = family->next_) all.push_back(family->Read());
  }
  std::sort(all.begin(), all.end(), [](const FamilyValue& a, const FamilyValue& b) { return a.name < b.name; });
  return all;
}

}  // namespace fermata::metrics
