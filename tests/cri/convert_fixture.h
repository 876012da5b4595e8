// Requests that pass, for tests that spoil one field of them.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "cri/convert.h"

namespace fermata::cri {

inline v1::PodSandboxConfig GoodSandbox() {
  v1::PodSandboxConfig config;
  config.mutable_metadata()->set_name("web");
  config.mutable_metadata()->set_uid("u-1");
  config.mutable_metadata()->set_namespace_("default");
  config.mutable_metadata()->set_attempt(2);
  config.set_hostname("web-0");
  config.set_log_directory("/var/log/pods/default_web_u-1");
  config.mutable_linux()->set_cgroup_parent("/kubepods/pod1");
  return config;
}

inline v1::ContainerConfig GoodContainer() {
  v1::ContainerConfig config;
  config.mutable_metadata()->set_name("c");
  config.mutable_metadata()->set_attempt(1);
  config.mutable_image()->set_image("busybox");
  config.set_log_path("c/1.log");
  return config;
}

inline sandbox::SandboxSpec PodSpec() { return *FromProto(GoodSandbox(), ""); }

inline v1::LinuxContainerSecurityContext& Security(v1::ContainerConfig& config) {
  return *config.mutable_linux()->mutable_security_context();
}
inline v1::LinuxSandboxSecurityContext& Security(v1::PodSandboxConfig& config) {
  return *config.mutable_linux()->mutable_security_context();
}

// "" or the error, with "unimplemented: " in front of those of that code.
template <typename T>
std::string Outcome(const Result<T>& result) {
  if (result) return "";
  EXPECT_TRUE(result.error().code() == ErrorCode::kInvalidArgument ||
              result.error().code() == ErrorCode::kUnimplemented);
  return (result.error().code() == ErrorCode::kUnimplemented ? "unimplemented: " : "") + result.error().message();
}

}  // namespace fermata::cri
