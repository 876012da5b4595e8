#include "cri/cli/manifest_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <iostream>

#include "cri/cli/output.h"
#include "runtime/base/file.h"
#include "sandbox/pods/manifest.h"

namespace fermata::cri::cli {
namespace {

void PrintList(std::string_view name, const google::protobuf::RepeatedPtrField<std::string>& list) {
  if (list.empty()) return;
  std::cout << "    " << name << ":";
  for (const std::string& entry : list) std::cout << " " << Printable(entry);
  std::cout << "\n";
}

}  // namespace

Result<std::string> ReadManifest(const std::string& file) {
  if (file != "-") return ReadFileAt(AT_FDCWD, file, sandbox::pods::kMaxManifestBytes);
  ASSIGN_OR_RETURN(std::string text, ReadAll(STDIN_FILENO, sandbox::pods::kMaxManifestBytes), "standard input");
  return text;
}

std::string ShownName(const std::string& file) { return file == "-" ? "stdin" : file; }

Result<int> PrintPlanned(const Global& global, const fermata::v1::ApplyResponse& response) {
  if (global.json) return PrintJson(response);
  for (const fermata::v1::PlannedPod& pod : response.planned()) {
    std::cout << "pod " << Printable(pod.namespace_()) << "/" << Printable(pod.name()) << "\n";
    PrintList("volumes", pod.volumes());
    PrintList("host ports", pod.host_ports());
    for (const fermata::v1::PlannedContainer& container : pod.containers()) {
      std::cout << "  " << (container.init() ? "init container " : "container ") << Printable(container.name()) << ": "
                << Printable(container.image()) << "\n";
      PrintList("command", container.command());
      PrintList("variables", container.variables());
      PrintList("mounts", container.mounts());
    }
  }
  return 0;
}

Result<int> Validate(const Global&, const RunOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, ReadManifest(options.file));
  std::vector<std::string> ignored;
  ASSIGN_OR_RETURN(const auto pods,
                   sandbox::pods::ParseManifest(text, ShownName(options.file), {options.allow_ignored, &ignored}));
  for (const std::string& what : ignored) std::cerr << "fermata: " << Printable(what) << "\n";
  for (const auto& pod : pods) std::cout << "pod " << pod.sandbox.name_space << "/" << pod.sandbox.name << "\n";
  return 0;
}

}  // namespace fermata::cri::cli
