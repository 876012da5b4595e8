#include "sandbox/network/pod_network.h"

#include <fcntl.h>

#include <filesystem>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "sandbox/network/cni_arguments.h"
#include "sandbox/network/host_ports.h"
#include "sandbox/network/netns.h"

namespace fermata::sandbox {
PodNetwork::PodNetwork(PodNetworkOptions options, std::unique_ptr<AttachmentBackend> builtin)
    : options_(std::move(options)),
      plugins_(options_.cni_bin_dirs),
      cni_(plugins_, options_.timeouts, [this] { return Configured(); }),
      builtin_(std::move(builtin)) {}

Result<> PodNetwork::Start(const NetworkHost& host) {
  ASSIGN_OR_RETURN(ending_, overlay::Cancellation::Make());
  plugins_.Start(host.make_group, ending_->fd());
  RETURN_IF_ERROR(MakeDirectories(AT_FDCWD, options_.data_dir));
  ASSIGN_OR_RETURN(ledger_, AttachmentLedger::Open(options_.data_dir + "/network.db"));
  for (const std::string& problem : ledger_->problems()) log::error("network.db: {}", problem);
  RETURN_IF_ERROR(LoadPodCidr(), "network");
  if (builtin_ != nullptr) RETURN_IF_ERROR(builtin_->Start(ledger_->All()), "built-in network");
  debts_ = std::make_unique<Debts>(
      pool_, [this](const std::string& id) { return Pay(id); }, options_.backoff,
      Debts::Chore{options_.collect_every, [this] { CollectAndLog(); }});
  ASSIGN_OR_RETURN(watch_, CniWatch::Open(options_.cni_conf_dir), "network");
  watch_->Watch([this] { OnConfigChange(); });
  AskStatus();
  return {};
}

void PodNetwork::Recover(const std::set<std::string>& sandboxes) {
  for (Attachment& attachment : ledger_->All()) {
    if (sandboxes.contains(attachment.id) && !attachment.owed) continue;
    log::info("pod sandbox {}: its network is to be taken down", attachment.id);
    debts_->Add(attachment.id);
  }
  SweepPins(sandboxes);
  pool_.Post([this] { CollectAndLog(); });
}

void PodNetwork::CollectAndLog() {
  const auto done = Collect();
  if (!done && done.error().code() != ErrorCode::kCancelled) log::warn("collect networks: {}", done.error().message());
}

std::vector<std::string> PodNetwork::Pinned() const {
  constexpr size_t kIdLength = 64;
  const std::string prefix = std::filesystem::path(PinOf("")).filename();
  std::vector<std::string> ids;
  for (const std::string& name : ListPins(options_.netns_dir, prefix)) {
    // Other instances' pins begin so too where ours is the default one, and are longer.
    if (name.size() == prefix.size() + kIdLength) ids.push_back(name.substr(prefix.size()));
  }
  return ids;
}

// Pins without a record: left by a crash between the two.
void PodNetwork::SweepPins(const std::set<std::string>& sandboxes) {
  for (const std::string& id : Pinned()) {
    if (sandboxes.contains(id) || ledger_->Find(id)) continue;
    if (const auto done = UnpinNetns(PinOf(id)); !done) log::warn("sweep {}: {}", PinOf(id), done.error().message());
  }
}

void PodNetwork::End() {
  if (ending_ == nullptr) return;
  ending_->Cancel();
  if (watch_ != nullptr) watch_->End();
  if (debts_ != nullptr) debts_->End();
  pool_.Drain();
  if (builtin_ == nullptr || ledger_ == nullptr) return;
  if (const auto done = builtin_->Collect(ledger_->All()); !done) log::warn("network: {}", done.error().message());
}

std::string PodNetwork::PinOf(const std::string& id) const {
  return options_.netns_dir + "/fermata-" + (options_.instance.empty() ? "" : options_.instance + "-") + id;
}

AttachmentBackend& PodNetwork::BackendOf(const Attachment& attachment) {
  if (attachment.kind == "builtin" && builtin_ != nullptr) return *builtin_;
  return cni_;
}

// "cni" with the network, "builtin", or nothing where the pod has `lo` only.
Result<PodNetwork::Choice> PodNetwork::Choose(Owner owner) const {
  const bool is_cri = owner == Owner::kCri;
  if (builtin_ != nullptr && is_cri && options_.cri_builtin) return Choice{"builtin", nullptr};
  auto network = watch_->Current();
  if (network) return Choice{"cni", std::move(*network)};
  if (network.error().code() != ErrorCode::kNotFound) {
    return std::move(network).error().WithCode(ErrorCode::kFailedPrecondition);
  }
  const bool builtin = builtin_ != nullptr && !is_cri && options_.pods_builtin;
  return Choice{builtin ? "builtin" : "", nullptr};
}

Result<Attachment> PodNetwork::Describe(const SandboxRecord& sandbox) const {
  ASSIGN_OR_RETURN(const Choice choice, Choose(sandbox.spec.owner));
  Attachment attachment;
  attachment.kind = choice.kind;
  if (attachment.kind.empty()) return attachment;
  attachment.id = sandbox.id.str();
  attachment.pod = sandbox.spec.name_space + "/" + sandbox.spec.name;
  attachment.netns = PinOf(attachment.id);
  std::vector<std::string> cidrs;
  {
    const std::lock_guard lock(mutex_);
    cidrs = pod_cidrs_;
  }
  std::string name = "fermata";
  if (choice.network != nullptr) {
    name = choice.network->name;
    attachment.network = choice.network->text;
    ASSIGN_OR_RETURN(attachment.args, CniArgs(sandbox));
  }
  ASSIGN_OR_RETURN(attachment.runtime_config, CniRuntimeConfig(sandbox, name, cidrs));
  return attachment;
}

Result<std::vector<std::string>> PodNetwork::Attach(const SandboxRecord& sandbox, int pause_pid) {
  ASSIGN_OR_RETURN(Attachment attachment, Describe(sandbox));
  if (attachment.kind.empty()) return std::vector<std::string>{};
  RETURN_IF_ERROR(Claim(attachment));
  RETURN_IF_ERROR(Make(attachment, pause_pid));
  RETURN_IF_ERROR(ledger_->Put(attachment));
  return attachment.ips;
}

// Writes the attachment down, if nobody has its host ports.
Result<> PodNetwork::Claim(const Attachment& attachment) {
  if (!attachment.runtime_config.contains("portMappings")) return ledger_->Put(attachment);
  const std::lock_guard lock(claim_mutex_);
  for (const Attachment& other : ledger_->All()) {
    RETURN_IF_ERROR(CheckHostPorts(attachment, other));
  }
  return ledger_->Put(attachment);
}

Result<> PodNetwork::Make(Attachment& attachment, int pause_pid) {
  ASSIGN_OR_RETURN(const UniqueFd netns, OpenNetns(pause_pid));
  RETURN_IF_ERROR(RefuseRouterAdvertisements(netns.get()));
  RETURN_IF_ERROR(PinNetns(netns.get(), attachment.netns));
  return BackendOf(attachment).Add(attachment, netns.get());
}

Result<> PodNetwork::Detach(const SandboxRecord& sandbox) {
  const std::string& id = sandbox.id.str();
  std::optional<Attachment> attachment = ledger_->Find(id);
  if (!attachment) return {};
  if (!attachment->owed) {
    attachment->owed = true;
    RETURN_IF_ERROR(ledger_->Put(*attachment));
  }
  debts_->Add(id);
  // Most plugins are quick, and who asks next finds the address and the host ports free.
  (void)debts_->Wait(id, options_.stop_wait);  // else it stays owed
  return {};
}

Result<> PodNetwork::Pay(const std::string& id) {
  const std::optional<Attachment> attachment = ledger_->Find(id);
  if (!attachment) return {};
  RETURN_IF_ERROR(BackendOf(*attachment).Del(*attachment));
  RETURN_IF_ERROR(UnpinNetns(attachment->netns));
  return ledger_->Erase(id);
}

Result<> PodNetwork::Check(const std::string& id) {
  const std::optional<Attachment> attachment = ledger_->Find(id);
  if (!attachment) return Error::Make(ErrorCode::kNotFound, "pod sandbox ", id, " has no network");
  return BackendOf(*attachment).Check(*attachment);
}

CniNetworkPtr PodNetwork::Configured() const {
  auto current = watch_->Current();
  return current ? *current : nullptr;
}

Result<size_t> PodNetwork::CollectAndWait() {
  std::vector<std::string> owed;
  for (const Attachment& attachment : ledger_->All()) {
    if (attachment.owed) owed.push_back(attachment.id);
  }
  RETURN_IF_ERROR(Collect());
  size_t left = 0;
  for (const std::string& id : owed) left += debts_->Wait(id, options_.stop_wait) ? 0 : 1;
  return left;
}

Result<> PodNetwork::Collect() {
  debts_->Hurry();
  const std::vector<Attachment> valid = ledger_->All();
  Result<> done = cni_.Collect(valid);
  if (builtin_ != nullptr) {
    if (auto mine = builtin_->Collect(valid); !mine) return mine;
  }
  return done;
}

}  // namespace fermata::sandbox
