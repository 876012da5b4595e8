// PodNetwork: the Network of the daemon. Chooses for each pod between CNI, the built-in network and none, writes every
// attachment down before it is made, and owes its end until that has succeeded. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "overlay/cancellation.h"
#include "runtime/base/task_pool.h"
#include "sandbox/network/cni_backend.h"
#include "sandbox/network/cni_watch.h"
#include "sandbox/network/debts.h"
#include "sandbox/network/ledger.h"
#include "sandbox/network/network.h"

namespace fermata::sandbox {

struct PodNetworkOptions {
  std::string cni_conf_dir;
  std::vector<std::string> cni_bin_dirs;
  std::string cni_conf_template;  // becomes a configuration when the pod CIDR comes; empty: none
  std::string data_dir;           // network.db
  std::string instance;           // empty: the default one
  std::string netns_dir = "/run/netns";
  bool cri_builtin = false;  // CRI pods get the built-in network, whatever is configured
  bool pods_builtin = true;  // pods of fermata.v1 get it where there is no CNI configuration
  CniTimeouts timeouts;
  Debts::Backoff backoff;
  std::chrono::milliseconds collect_every = std::chrono::hours(1);
  std::chrono::milliseconds stop_wait = std::chrono::seconds(1);  // that Detach gives a plugin; crictl waits two
};

class PodNetwork : public Network {
 public:
  // `builtin`: nullptr where there is none.
  PodNetwork(PodNetworkOptions options, std::unique_ptr<AttachmentBackend> builtin);
  ~PodNetwork() override { End(); }

  Result<> Start(const NetworkHost& host) override;
  void Recover(const std::set<std::string>& sandboxes) override;
  void End() override;
  [[nodiscard]] NetworkStatus Status() const override;
  Result<std::vector<std::string>> Attach(const SandboxRecord& sandbox, int pause_pid) override;
  Result<> Detach(const SandboxRecord& sandbox) override;
  Result<> SetPodCidr(const std::string& cidrs) override;

  [[nodiscard]] std::vector<Attachment> Attachments() const { return ledger_->All(); }
  [[nodiscard]] TaskPool::Load Load() const { return pool_.Now(); }
  // Ids whose network namespace is pinned now, by the names of the pins.
  [[nodiscard]] std::vector<std::string> Pinned() const;
  // The configured CNI network; nullptr: none that can be used.
  [[nodiscard]] CniNetworkPtr Configured() const;
  // CHECK of one attachment.
  Result<> Check(const std::string& id);
  // All debts are tried at once, and what belongs to nobody is collected.
  Result<> Collect();
  // The same, and waits a moment for each debt. How many are left.
  Result<size_t> CollectAndWait();

 private:
  struct Choice {
    std::string kind;
    CniNetworkPtr network;
  };
  [[nodiscard]] Result<Choice> Choose(Owner owner) const;
  Result<Attachment> Describe(const SandboxRecord& sandbox) const;
  AttachmentBackend& BackendOf(const Attachment& attachment);
  void CollectAndLog();
  Result<> Claim(const Attachment& attachment);
  Result<> Make(Attachment& attachment, int pause_pid);
  Result<> Pay(const std::string& id);
  void OnConfigChange();
  void AskStatus() const;
  [[nodiscard]] std::string PinOf(const std::string& id) const;
  Result<> LoadPodCidr();
  void SweepPins(const std::set<std::string>& sandboxes);

  const PodNetworkOptions options_;
  std::unique_ptr<overlay::Cancellation> ending_;
  CniPlugins plugins_;
  CniBackend cni_;
  const std::unique_ptr<AttachmentBackend> builtin_;
  std::unique_ptr<AttachmentLedger> ledger_;
  std::mutex claim_mutex_;           // makes look and record one step
  mutable std::mutex mutex_;         // guards what follows
  mutable Result<> plugin_status_;   // the last answer to STATUS
  mutable bool asking_ = false;      // a STATUS is under way
  mutable bool asked_ = false;       // of the network of now
  mutable uint64_t generation_ = 0;  // of the configuration
  mutable std::chrono::steady_clock::time_point asked_at_;
  std::vector<std::string> pod_cidrs_;
  mutable TaskPool pool_;
  std::unique_ptr<Debts> debts_;     // uses the pool
  std::unique_ptr<CniWatch> watch_;  // calls us: ends first
};

}  // namespace fermata::sandbox
