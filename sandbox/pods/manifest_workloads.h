// Documents that become pods: Pod, and the controllers in their meaning on one node. Each gives the pods that it is to
// have, in a stable order and with stable names, NAME-0 and on. Shared by the manifest_*.cc files; not for others.
// Pure, any thread; errors name file, line and path.
//
// There is no controller that goes on watching: a pod that is removed stays so, and a changed document is a new one.
// What asks for more than that (rolling updates, work queues, replacements of failed pods of a Job) is refused.
#pragma once

#include <vector>

#include "sandbox/pods/manifest_read.h"

namespace fermata::sandbox::pods {

Result<std::vector<PodManifest>> ReadPodDocument(const Node& document, const Objects& objects);
Result<std::vector<PodManifest>> ReadDeployment(const Node& document, const Objects& objects);
Result<std::vector<PodManifest>> ReadReplicaSet(const Node& document, const Objects& objects);
Result<std::vector<PodManifest>> ReadStatefulSet(const Node& document, const Objects& objects);
Result<std::vector<PodManifest>> ReadDaemonSet(const Node& document, const Objects& objects);
Result<std::vector<PodManifest>> ReadJob(const Node& document, const Objects& objects);

}  // namespace fermata::sandbox::pods
