// The command line's connection to the daemon; starts one when none answers.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "cri/api/fermata_v1.grpc.pb.h"
#include "runtime/base/result.h"

namespace fermata::cri::cli {

namespace fv1 = ::fermata::v1;

struct Client {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<fv1::Pods::Stub> pods;
  std::unique_ptr<fv1::Images::Stub> images;
  std::unique_ptr<fv1::Network::Stub> network;
  std::unique_ptr<fv1::System::Stub> system;
};

// `socket` as given by flag or FERMATA_SOCKET: a path, or unix://PATH; empty: the default one. With the default
// socket and root's rights a daemon is started if none answers (systemctl where a unit exists, else fermatad beside
// this program, which leaves again when idle). kUnavailable says what to do.
Result<Client> Connect(const std::string& socket);

// Only if one answers at once; never starts one.
Result<Client> ConnectRunning(const std::string& socket);

// The answer of a call as a Result.
Result<> ToResult(const grpc::Status& status);

}  // namespace fermata::cri::cli
