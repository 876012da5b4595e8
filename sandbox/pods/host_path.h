// hostPath volumes: what kubelet checks or makes before it mounts one.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/helper/path_helper.h"

namespace fermata::sandbox::pods {

// `type` is one of kubelet's: "", Directory, DirectoryOrCreate, File, FileOrCreate, Socket, CharDevice,
// BlockDevice. kInvalidArgument when what is at `path` does not agree.
Result<> PrepareHostPath(const runtime::PathHelper& paths, const std::string& path, const std::string& type);

}  // namespace fermata::sandbox::pods
