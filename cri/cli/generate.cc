#include "cri/cli/generate.h"

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>

#include "cri/cli/client.h"
#include "cri/cli/manifest_file.h"
#include "cri/cli/output.h"
#include "sandbox/pods/manifest.h"

namespace fermata::cri::cli {
namespace {

struct Unit {
  std::string description, type, start, stop, more;
  std::chrono::seconds stop_time{};
};

constexpr std::chrono::seconds kLongest = std::chrono::minutes(10);  // of a pod whose grace is not known
constexpr std::chrono::seconds kBesidesGrace{15};  // what the end of a pod takes besides its containers' time

std::string TextOf(const Unit& unit) {
  return "[Unit]\nDescription=" + unit.description +
         "\nWants=network-online.target fermatad.service\nAfter=network-online.target fermatad.service\n\n[Service]\n"
         "Type=" +
         unit.type + "\nExecStart=" + unit.start + "\n" + (unit.stop.empty() ? "" : "ExecStop=" + unit.stop + "\n") +
         unit.more + "TimeoutStopSec=" + std::to_string(unit.stop_time.count()) +
         "\n\n[Install]\nWantedBy=multi-user.target\n";
}

Result<Unit> UnitOfFile(const std::string& program, const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadManifest(file));
  ASSIGN_OR_RETURN(const auto pods, sandbox::pods::ParseManifest(text, file));
  std::string names;
  std::chrono::seconds grace{0};
  for (const auto& pod : pods) {
    names += (names.empty() ? "" : ", ") + pod.sandbox.name;
    grace = std::max(grace, pod.termination_grace);
  }
  const std::string path = std::filesystem::absolute(file).lexically_normal();
  Unit unit;
  unit.description = "Pods of a manifest: " + names;
  unit.type = "exec";
  unit.start = program + " run --replace " + UnitWord(path);
  // What `run` ends with after the signal that stops it.
  unit.more = "Restart=on-failure\nRestartSec=5\nSuccessExitStatus=130\nKillMode=mixed\n";
  unit.stop_time = grace + kBesidesGrace;
  return unit;
}

Result<Unit> UnitOfPod(const Global& global, const std::string& program, const std::string& pod) {
  ASSIGN_OR_RETURN(const Client client, Connect(global.socket));
  grpc::ClientContext context;
  fv1::DescribePodRequest request;
  fv1::DescribePodResponse response;
  request.set_pod(pod);
  if (auto found = ToResult(client.pods->Describe(&context, request, &response)); !found) {
    if (found.error().code() != ErrorCode::kNotFound) return std::move(found).error();
    return Error::Make(ErrorCode::kNotFound, pod, " is neither a file nor a pod; see: fermata pods");
  }
  if (!response.has_planned()) {
    return Error::Make(ErrorCode::kFailedPrecondition, "pod ", pod,
                       " is not of a manifest: who made it by the CRI has to start it");
  }
  // By name: each start gives it another id.
  const std::string name = UnitWord(response.status().namespace_() + "/" + response.status().name());
  Unit unit;
  unit.description = "Pod " + response.status().name();
  unit.type = "oneshot";
  unit.start = program + " restart " + name;
  unit.stop = program + " stop " + name;
  unit.more = "RemainAfterExit=yes\n";
  unit.stop_time = kLongest;
  return unit;
}

}  // namespace

std::string UnitWord(std::string_view word) {
  std::string out;
  bool quoted = word.empty();
  for (const char c : word) {
    if (c == '%' || c == '$') out.push_back(c);  // doubled, they mean themselves
    if (c == '"' || c == '\\') out.push_back('\\');
    quoted |= c == ' ' || c == '\'' || c == ';' || c == '\t';
    out.push_back(c);
  }
  return quoted ? "\"" + out + "\"" : out;
}

Result<int> GenerateSystemd(const Global& global, const std::string& file_or_pod) {
  const std::string program = UnitWord(std::filesystem::read_symlink("/proc/self/exe").string());
  const bool is_file = std::filesystem::exists(file_or_pod);
  ASSIGN_OR_RETURN(const Unit unit,
                   is_file ? UnitOfFile(program, file_or_pod) : UnitOfPod(global, program, file_or_pod));
  std::cout << TextOf(unit);
  return 0;
}

}  // namespace fermata::cri::cli
