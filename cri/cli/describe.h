// What `fermata describe` prints. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "cri/api/fermata_v1.pb.h"

namespace fermata::cri::cli {

std::string DescribeText(const ::fermata::v1::DescribePodResponse& pod, int64_t now_ns);

}  // namespace fermata::cri::cli
