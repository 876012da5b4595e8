// What a dry run tells of a pod. Pure; any thread.
#pragma once

#include "cri/api/fermata_v1.pb.h"
#include "sandbox/pods/manifest.h"

namespace fermata::cri {

// Values of variables and contents of files are left out: they may be secrets.
void FillPlanned(const sandbox::pods::PodManifest& pod, ::fermata::v1::PlannedPod& out);

// "exec [true]", "http-get http://:80/", "tcp-socket :80", "grpc :80": as kubectl describe has them.
std::string ProbeActionText(const sandbox::probe::ProbeSpec& spec);

}  // namespace fermata::cri
