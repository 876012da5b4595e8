#include "sandbox/audit.h"

#include <fcntl.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "runtime/base/file.h"

namespace fermata::sandbox {
namespace {

constexpr size_t kIdLength = 64;

using Names = std::set<std::string>;
using List = std::function<Names()>;

// Those of a directory that are ids; empty where there is none.
Names IdsIn(int directory, const std::string& path) {
  const auto opened = OpenAt(directory, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened) return {};
  const auto names = ListDirectory(opened->get());
  if (!names) return {};
  Names ids;
  for (const std::string& name : *names) {
    if (name.size() == kIdLength) ids.insert(name);
  }
  return ids;
}

// Where something is mounted below one of our directories.
Names MountsBelow(const std::vector<std::string>& directories) {
  const auto text = ReadFileAt(AT_FDCWD, "/proc/self/mountinfo");
  if (!text) return {};
  Names found;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string skipped, point;
    fields >> skipped >> skipped >> skipped >> skipped >> point;  // proc_pid_mountinfo(5): the fifth
    const bool ours = std::any_of(directories.begin(), directories.end(),
                                  [&](const std::string& one) { return point.starts_with(one + "/"); });
    if (ours) found.insert(point);
  }
  return found;
}

// `known` is read between two looks: what is new has its record by then, what has gone is not seen again.
AuditLine Compare(const char* kind, const List& found, const List& known,
                  const std::function<bool(const std::string&, const Names&)>& belongs) {
  const Names before = found();
  const Names records = known();
  AuditLine line{kind, records.size(), before.size(), {}};
  std::vector<std::string> strange;
  for (const std::string& name : before) {
    if (!belongs(name, records)) strange.push_back(name);
  }
  if (strange.empty()) return line;
  const Names after = found();
  for (std::string& name : strange) {
    if (after.contains(name)) line.unaccounted.push_back(std::move(name));
  }
  return line;
}

Names SandboxIds(const Engine& engine, const std::function<bool(const SandboxRecord&)>& wanted) {
  Names ids;
  for (const SandboxPtr& sandbox : engine.store->Sandboxes()) {
    if (wanted(*sandbox)) ids.insert(sandbox->id.str());
  }
  return ids;
}

// The only mounts that pods of ours keep in the host's mount namespace are volumes in memory: DATA/pods/UID/...
AuditLine CompareMounts(const Engine& engine) {
  const std::string pods = engine.config.data_dir + "/pods/";
  const auto found = [&] { return MountsBelow({engine.config.data_dir, engine.config.run_dir}); };
  const auto uids = [&] {
    Names known;
    for (const SandboxPtr& sandbox : engine.store->Sandboxes()) known.insert(sandbox->spec.uid);
    return known;
  };
  const auto belongs = [&](const std::string& point, const Names& known) {
    if (!point.starts_with(pods)) return false;
    return known.contains(point.substr(pods.size(), point.find('/', pods.size()) - pods.size()));
  };
  AuditLine line = Compare("mount", found, uids, belongs);
  line.known = line.found - line.unaccounted.size();  // how many a pod has is written down nowhere else
  return line;
}

}  // namespace

std::vector<AuditLine> Audit(const Engine& engine, const AuditedNetwork& network) {
  const int mount = engine.cgroup_mount.fd();
  const std::string& root = engine.config.cgroup_root;
  const auto named = [](const std::string& name, const Names& known) { return known.contains(name); };
  const auto all = [](const SandboxRecord&) { return true; };
  const auto own_group = [](const SandboxRecord& record) { return record.spec.cgroup_parent.empty(); };
  const auto set_of = [](const std::function<std::vector<std::string>()>& list) {
    const std::vector<std::string> names = list();
    return Names(names.begin(), names.end());
  };
  std::vector<AuditLine> lines;
  lines.push_back(Compare(
      "cgroup", [&] { return IdsIn(mount, root + "/pods"); }, [&] { return SandboxIds(engine, own_group); }, named));
  lines.push_back(Compare(
      "monitor_cgroup", [&] { return IdsIn(mount, root + "/monitors"); },
      [&] {
        return SandboxIds(engine, [](const SandboxRecord& record) { return record.state != SandboxState::kNotReady; });
      },
      // Of a sandbox that is not ready it may be on its way out.
      [&](const std::string& name, const Names&) { return engine.store->Find(SandboxId(name)) != nullptr; }));
  lines.push_back(Compare(
      "run_directory", [&] { return IdsIn(engine.sandboxes_dir.get(), "."); }, [&] { return SandboxIds(engine, all); },
      named));
  lines.push_back(Compare(
      "netns", [&] { return set_of(network.pinned); }, [&] { return set_of(network.attached); }, named));
  lines.push_back(CompareMounts(engine));
  return lines;
}

}  // namespace fermata::sandbox
