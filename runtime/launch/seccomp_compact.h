// Makes a seccomp filter shorter without changing what it answers: every start of a container or of an exec gives the
// kernel the filter anew, which checks, converts and compiles each instruction of it.
//
// libseccomp lists system calls one by one. Here the program is evaluated for every architecture and number at which
// its answer can change (it only compares them with constants); neighbours with the same answer become one range, and
// the ranges a search tree. What looks at arguments is kept as it is.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace fermata::runtime {

// The shorter program, or `program` itself where nothing is gained or where it does something unknown here.
std::vector<sock_filter> CompactFilter(const std::vector<sock_filter>& program);

}  // namespace fermata::runtime
