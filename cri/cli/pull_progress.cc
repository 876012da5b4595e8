#include "cri/cli/pull_progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "cri/cli/output.h"

namespace fermata::cri::cli {
namespace {

using ::fermata::v1::LayerProgress;

constexpr size_t kShortDigest = 12;
constexpr int kBarWidth = 24;
constexpr auto kMeasureEvery = std::chrono::milliseconds(500);

std::string ShortDigest(const std::string& digest) {
  const size_t colon = digest.find(':');
  return Printable(digest.substr(colon == std::string::npos ? 0 : colon + 1, kShortDigest));
}

const char* Word(const LayerProgress& layer) {
  switch (layer.state()) {
    case LayerProgress::WAITING:
      return "waiting";
    case LayerProgress::FETCHING:
      return layer.fetched_bytes() >= layer.size_bytes() ? "extracting" : "downloading";
    case LayerProgress::STORING:
      return "storing";
    case LayerProgress::DONE:
      return "done";
    case LayerProgress::PRESENT:
      return "already here";
    default:
      return "";
  }
}

std::string Bar(uint64_t part, uint64_t whole) {
  const auto filled = static_cast<size_t>(whole == 0 ? kBarWidth : part * kBarWidth / whole);
  std::string bar(std::min<size_t>(filled, kBarWidth), '=');
  if (bar.size() < kBarWidth && !bar.empty()) bar.back() = '>';
  bar.resize(kBarWidth, ' ');
  return "[" + bar + "]";
}

}  // namespace

void PullDisplay::Measure(Layer& known, const LayerProgress& layer, std::chrono::steady_clock::time_point now) {
  const auto elapsed = now - known.since;
  if (elapsed < kMeasureEvery) return;
  known.bytes_per_second = static_cast<double>(layer.fetched_bytes() - std::min(known.bytes, layer.fetched_bytes())) /
                           std::chrono::duration<double>(elapsed).count();
  known.bytes = layer.fetched_bytes();
  known.since = now;
}

std::string PullDisplay::Line(const LayerProgress& layer, const Layer& known) const {
  std::string line = fmt::format("{}  {:<12}", ShortDigest(layer.digest()), Word(layer));
  if (layer.state() == LayerProgress::FETCHING) {
    line += fmt::format(" {} {} / {}", Bar(layer.fetched_bytes(), layer.size_bytes()),
                        HumanBytes(layer.fetched_bytes()), HumanBytes(layer.size_bytes()));
    if (known.bytes_per_second > 0)
      line += fmt::format("  {}/s", HumanBytes(static_cast<uint64_t>(known.bytes_per_second)));
  } else {
    line += fmt::format(" {}", HumanBytes(layer.size_bytes()));
  }
  return line.substr(0, static_cast<size_t>(std::max(columns_ - 1, 20)));
}

std::string PullDisplay::Update(const ::fermata::v1::PullProgress& progress,
                                std::chrono::steady_clock::time_point now) {
  std::string text;
  if (terminal_ && lines_ > 0) text = fmt::format("\x1b[{}A", lines_);  // up to the first of them
  for (const LayerProgress& layer : progress.layers()) {
    auto [found, is_new] = layers_.try_emplace(layer.digest());
    Layer& known = found->second;
    if (is_new) known.since = now;
    Measure(known, layer, now);
    const bool changed = !known.shown || known.state != layer.state();
    known.state = layer.state();
    known.shown = true;
    if (terminal_) {
      text += Line(layer, known) + "\x1b[K\n";
    } else if (changed && layer.state() != LayerProgress::WAITING) {
      text += fmt::format("{}: {} ({})\n", ShortDigest(layer.digest()), Word(layer), HumanBytes(layer.size_bytes()));
    }
  }
  if (progress.layers_size() > 0) lines_ = progress.layers_size();
  return text;
}

}  // namespace fermata::cri::cli
