// What `fermata doctor` makes of facts that are made up.
#include "cri/cli/doctor.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

namespace fermata::cri::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

DoctorFacts Healthy() {
  DoctorFacts facts;
  facts.root = true;
  facts.kernel = "6.1.0-9-amd64";
  facts.cgroup_mount = "/sys/fs/cgroup";
  facts.cgroup_writable = true;
  facts.controllers = {"cpuset", "cpu", "io", "memory", "pids"};
  facts.overlay = facts.mount_setattr = true;
  facts.data_filesystem = "ext4";
  facts.free_bytes = 50'000'000'000;
  facts.total_bytes = 100'000'000'000;
  facts.free_inodes = 500;
  facts.total_inodes = 1000;
  facts.user_namespaces = 15000;
  facts.seccomp_filter = facts.netfilter = facts.bridge_loaded = facts.ip_forward = true;
  facts.cni_directory = "/etc/cni/net.d";
  facts.cni_configurations = 1;
  facts.cni_bin_dirs = {"/opt/cni/bin"};
  facts.socket = "/run/fermata/fermata.sock";
  facts.socket_mode = S_IFSOCK | 0600;
  facts.directories = {{"/var/lib/fermata", true, S_IFDIR | 0755, 0}, {"/run/fermata", true, S_IFDIR | 0700, 0}};
  facts.daemon_version = facts.client_version = "1.2.3";
  return facts;
}

Check Find(const DoctorFacts& facts, const std::string& name) {
  for (const Check& check : Judge(facts)) {
    if (check.name == name) return check;
  }
  ADD_FAILURE() << "no check " << name;
  return {};
}

TEST(Doctor, FindsNothingWhereNothingIs) {
  for (const Check& check : Judge(Healthy())) {
    EXPECT_EQ(check.verdict, Verdict::kOk) << check.name << ": " << check.found;
    EXPECT_EQ(check.advice, "") << check.name;
  }
}

struct Row {
  const char* name;
  void (*harm)(DoctorFacts& facts);
  Verdict verdict;
  const char* found;
  const char* advice;
};

TEST(Doctor, SaysWhatIsWrongAndWhatToDo) {
  const std::vector<Row> rows = {
      {"user", [](DoctorFacts& f) { f.root = false; }, Verdict::kWarn, "not root", "sudo"},
      {"kernel", [](DoctorFacts& f) { f.kernel = "5.15.0"; }, Verdict::kFail, "5.15.0", "6.1 or newer"},
      {"kernel", [](DoctorFacts& f) { f.kernel = "odd"; }, Verdict::kFail, "odd", "6.1 or newer"},
      {"cgroups", [](DoctorFacts& f) { f.cgroup_mount = ""; }, Verdict::kFail, "no cgroup2",
       "unified_cgroup_hierarchy"},
      {"cgroups", [](DoctorFacts& f) { f.cgroup_writable = false; }, Verdict::kFail, "no group can be made", "rw"},
      {"controllers",
       [](DoctorFacts& f) {
         f.controllers = {"cpu", "io", "cpuset"};
       },
       Verdict::kWarn, "memory pids", "missing_controllers"},
      {"overlayfs", [](DoctorFacts& f) { f.overlay = false; }, Verdict::kFail, "no overlay", "modprobe"},
      {"overlayfs", [](DoctorFacts& f) { f.overlay.reset(); }, Verdict::kWarn, "not tried", "sudo"},
      {"overlayfs", [](DoctorFacts& f) { f.data_filesystem = "nfs"; }, Verdict::kFail, "nfs", "data_dir"},
      {"idmapped mounts", [](DoctorFacts& f) { f.mount_setattr = false; }, Verdict::kWarn, "none", "5.12"},
      {"idmapped mounts", [](DoctorFacts& f) { f.data_filesystem = "zfs"; }, Verdict::kWarn, "zfs", "ext4"},
      {"user namespaces", [](DoctorFacts& f) { f.user_namespaces = 0; }, Verdict::kWarn, "none", "max_user_namespaces"},
      {"seccomp", [](DoctorFacts& f) { f.seccomp_filter = false; }, Verdict::kFail, "no filters", "SECCOMP_FILTER"},
      {"nftables", [](DoctorFacts& f) { f.netfilter = false; }, Verdict::kFail, "no netfilter", "modprobe"},
      {"ip_forward", [](DoctorFacts& f) { f.ip_forward = false; }, Verdict::kWarn, "off", "sysctl"},
      {"cni", [](DoctorFacts& f) { f.cni_configurations = 0; }, Verdict::kWarn, "/etc/cni/net.d", "builtin"},
      {"cni", [](DoctorFacts& f) { f.cni_bin_dirs.clear(); }, Verdict::kFail, "plugins", "containernetworking-plugins"},
      {"disk", [](DoctorFacts& f) { f.free_bytes = 1000; }, Verdict::kFail, "1.0 kB", "prune"},
      {"disk", [](DoctorFacts& f) { f.free_bytes = 5'000'000'000; }, Verdict::kWarn, "5.0 GB", "prune"},
      {"disk", [](DoctorFacts& f) { f.free_inodes = 1; }, Verdict::kWarn, "1 of 1000 inodes", "prune"},
      {"configuration", [](DoctorFacts& f) { f.config_error = "x.toml:3: unknown key"; }, Verdict::kFail, "x.toml:3",
       "config check"},
      {"socket", [](DoctorFacts& f) { f.socket_mode = S_IFSOCK | 0666; }, Verdict::kFail, "0666", "chmod 0600"},
      {"daemon",
       [](DoctorFacts& f) {
         f.daemon_version = "";
         f.daemon_error = "silent";
       },
       Verdict::kFail, "silent", "log"},
      {"daemon",
       [](DoctorFacts& f) {
         f.daemon_version = "";
         f.socket_mode.reset();
       },
       Verdict::kWarn, "", "started by"},
      {"daemon", [](DoctorFacts& f) { f.daemon_version = "1.2.2"; }, Verdict::kWarn, "1.2.2", "restart"},
      {"/run/fermata", [](DoctorFacts& f) { f.directories[1].mode = S_IFDIR | 0777; }, Verdict::kFail, "0777",
       "chmod go-w"},
      {"/run/fermata", [](DoctorFacts& f) { f.directories[1].uid = 1000; }, Verdict::kFail, "user 1000", "chown root:"},
  };
  for (const Row& row : rows) {
    DoctorFacts facts = Healthy();
    row.harm(facts);
    const Check check = Find(facts, row.name);
    EXPECT_EQ(check.verdict, row.verdict) << row.name << ": " << check.found;
    EXPECT_THAT(check.found, HasSubstr(row.found)) << row.name;
    EXPECT_THAT(check.advice, HasSubstr(row.advice)) << row.name;
  }
}

TEST(Doctor, LooksAtThisMachineWithoutADaemon) {
  const DoctorFacts facts = GatherFacts("/nonexistent/socket", "/nonexistent/config.toml", false);
  EXPECT_THAT(facts.kernel, Not(HasSubstr(" ")));
  EXPECT_GT(facts.total_bytes, 0U);
  EXPECT_NE(facts.data_filesystem, "unknown");
  EXPECT_EQ(facts.daemon_version, "");
  EXPECT_THAT(facts.daemon_error, StartsWith("no daemon answers on /nonexistent/socket"));
  EXPECT_EQ(facts.config_error, "") << "a default file that is missing is none";
  EXPECT_NE(GatherFacts("/nonexistent/socket", "/nonexistent/config.toml", true).config_error, "");
}

}  // namespace
}  // namespace fermata::cri::cli
