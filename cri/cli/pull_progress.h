// What a pull shows: on a terminal a line for each layer that is drawn anew, else a line when a layer's state changes.
// One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "cri/api/fermata_v1.pb.h"

namespace fermata::cri::cli {

class PullDisplay {
 public:
  PullDisplay(bool terminal, int columns) : terminal_(terminal), columns_(columns) {}

  // The text that shows `progress` after what was shown before; `now` is for the speed.
  std::string Update(const ::fermata::v1::PullProgress& progress, std::chrono::steady_clock::time_point now);

 private:
  struct Layer {
    ::fermata::v1::LayerProgress::State state = ::fermata::v1::LayerProgress::WAITING;
    bool shown = false;
    uint64_t bytes = 0;  // at `since`, or when the speed was reckoned last
    std::chrono::steady_clock::time_point since;
    double bytes_per_second = 0;
  };
  std::string Line(const ::fermata::v1::LayerProgress& layer, const Layer& known) const;
  static void Measure(Layer& known, const ::fermata::v1::LayerProgress& layer,
                      std::chrono::steady_clock::time_point now);

  const bool terminal_;
  const int columns_;
  int lines_ = 0;  // that stand on the terminal
  std::map<std::string, Layer> layers_;
};

}  // namespace fermata::cri::cli
