// What differs between two manifests for one pod, field by field as they are written. Pure, any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace fermata::sandbox::pods {

struct FieldDifference {
  std::string path;           // "spec.containers[0].image"; of what the pod refers to: "ConfigMap/name: data.key"
  std::string before, after;  // "<none>", "<hidden>" where it may be secret, "{...}" and "[...]" for more than a value
};

// Both are valid manifests. What kind of pod or object has which name counts, not the order of documents. Documents of
// other pods are left out; all that pods may refer to is looked at.
Result<std::vector<FieldDifference>> DiffManifests(std::string_view before, std::string_view after,
                                                   const std::string& pod);

}  // namespace fermata::sandbox::pods
