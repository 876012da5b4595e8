// CniBackend: attachments by CNI plugins, each with the configuration that it was added with. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "sandbox/network/attachment.h"
#include "sandbox/network/cni_chain.h"

namespace fermata::sandbox {

struct CniTimeouts {
  std::chrono::milliseconds add = std::chrono::seconds(60);
  std::chrono::milliseconds del = std::chrono::seconds(30);
  std::chrono::milliseconds status = std::chrono::seconds(10);
};

using CniNetworkPtr = std::shared_ptr<const CniNetwork>;

class CniBackend : public AttachmentBackend {
 public:
  // `current`: the network of now, for Collect; may give nullptr.
  CniBackend(const CniPlugins& plugins, CniTimeouts timeouts, std::function<CniNetworkPtr()> current)
      : plugins_(plugins), timeouts_(timeouts), current_(std::move(current)) {}

  Result<> Add(Attachment& attachment, int netns) override;
  Result<> Del(const Attachment& attachment) override;
  Result<> Check(const Attachment& attachment) override;
  Result<> Collect(const std::vector<Attachment>& valid) override;
  // STATUS of `network`.
  Result<> Status(const CniNetwork& network) const;

 private:
  const CniPlugins& plugins_;
  const CniTimeouts timeouts_;
  const std::function<CniNetworkPtr()> current_;
};

}  // namespace fermata::sandbox
