// What PodNetwork says of itself, and what it is told of the node; part of pod_network.h.
#include <fcntl.h>

#include <algorithm>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "sandbox/network/cni_arguments.h"
#include "sandbox/network/pod_network.h"

namespace fermata::sandbox {
namespace {

constexpr const char* kCidrFile = "pod-cidr";
constexpr const char* kTemplateResult = "10-fermata.conflist";
constexpr const char* kNotReady = "NetworkPluginNotReady";
constexpr auto kAskAgain = std::chrono::seconds(10);

// `text` with every `mark` replaced.
std::string Replaced(std::string text, std::string_view mark, const std::string& value) {
  for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos; at += value.size()) {
    text.replace(at, mark.size(), value);
  }
  return text;
}

}  // namespace

NetworkStatus PodNetwork::Status() const {
  if (options_.cri_builtin && builtin_ != nullptr) return {.ready = true};
  const auto network = watch_->Current();
  if (!network && network.error().code() == ErrorCode::kNotFound) {
    return {false, kNotReady, network.error().message() + ": pods have a loopback interface only"};
  }
  if (!network) return {false, kNotReady, network.error().message()};
  AskStatus();
  const std::lock_guard lock(mutex_);
  if (!asked_) return {false, kNotReady, "CNI network " + (*network)->name + ": its plugins have not answered yet"};
  if (!plugin_status_) return {false, kNotReady, plugin_status_.error().message()};
  return {.ready = true};
}

void PodNetwork::OnConfigChange() {
  {
    const std::lock_guard lock(mutex_);
    asked_ = false;
    ++generation_;
  }
  debts_->Hurry();  // perhaps what was broken is mended
  AskStatus();
}

// In the background; one at a time, and again only when the last answer was bad and is old.
void PodNetwork::AskStatus() const {
  const auto network = watch_->Current();
  if (!network) return;
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  if (asking_ || (asked_ && (plugin_status_ || now - asked_at_ < kAskAgain))) return;
  if (!(*network)->Knows("STATUS")) {
    asked_ = true;
    plugin_status_ = {};
    return;
  }
  asking_ = true;
  pool_.Post([this, network = *network, generation = generation_] {
    Result<> status = cni_.Status(*network);
    bool outdated = false;
    {
      const std::lock_guard relock(mutex_);
      asking_ = false;
      outdated = generation != generation_;
      if (!outdated) {
        asked_ = true;
        plugin_status_ = std::move(status);
        asked_at_ = std::chrono::steady_clock::now();
      }
    }
    if (outdated) AskStatus();
  });
}

Result<> PodNetwork::LoadPodCidr() {
  const auto text = ReadFileAt(AT_FDCWD, options_.data_dir + "/" + kCidrFile, 4096);
  if (!text) return {};  // nobody has said it yet
  auto cidrs = ParsePodCidrs(*text);
  if (!cidrs) {
    log::warn("{}/{}: {}", options_.data_dir, kCidrFile, cidrs.error().message());
    return {};
  }
  const std::lock_guard lock(mutex_);
  pod_cidrs_ = std::move(*cidrs);
  return {};
}

// Placeholders of the template: {{.PodCIDR}} the first range, {{.PodCIDRRanges}} all of them as ipRanges wants them.
Result<> PodNetwork::SetPodCidr(const std::string& text) {
  ASSIGN_OR_RETURN(const std::vector<std::string> cidrs, ParsePodCidrs(text));
  if (cidrs.empty()) return {};
  {
    const std::lock_guard lock(mutex_);
    if (pod_cidrs_ == cidrs) return {};
    pod_cidrs_ = cidrs;
  }
  ASSIGN_OR_RETURN(const UniqueFd data, MakeDirectories(AT_FDCWD, options_.data_dir));
  RETURN_IF_ERROR(WriteFileAtomic(data.get(), kCidrFile, text));
  if (options_.cni_conf_template.empty()) return {};
  ASSIGN_OR_RETURN(const UniqueFd directory, MakeDirectories(AT_FDCWD, options_.cni_conf_dir));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory.get()));
  const bool ours = std::find(names.begin(), names.end(), kTemplateResult) != names.end();
  if (!ours && watch_->Current()) return {};  // somebody has configured a network already
  ASSIGN_OR_RETURN(std::string conf, ReadFileAt(AT_FDCWD, options_.cni_conf_template), "CNI template");
  Json ranges = Json::array();
  for (const std::string& cidr : cidrs) ranges.push_back(Json::array({Json{{"subnet", cidr}}}));
  conf = Replaced(std::move(conf), "{{.PodCIDRRanges}}", ranges.dump());
  conf = Replaced(std::move(conf), "{{.PodCIDR}}", cidrs.front());
  RETURN_IF_ERROR(ParseCniNetwork(conf, options_.cni_conf_template));
  return WriteFileAtomic(directory.get(), kTemplateResult, conf);
}

}  // namespace fermata::sandbox
