#!/bin/bash
# oci.sh [--runs N] [--rounds N]: how long `run` of a container that only runs `true` takes with fermata-oci and with
# the runtimes that are here (runc; crun only where control groups are v2 alone), by the same config.json. The runtimes
# take turns; of the rounds the fastest counts.
set -euo pipefail
source=$(realpath "$(dirname "$0")/../..")
bin=${FERMATA_BIN:-$source/build/bin}
runs=50 rounds=5
while [ $# -gt 0 ]; do
  case $1 in
    --runs) runs=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    *) echo "usage: $0 [--runs N] [--rounds N]" >&2; exit 2 ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || { echo "$0: needs root" >&2; exit 1; }
mount=$(awk '{for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") {print $5; exit}}' /proc/self/mountinfo)
runtimes=("$bin/fermata-oci")
! command -v runc >/dev/null || runtimes+=("$(command -v runc)")
! command -v crun >/dev/null || [ "$mount" != /sys/fs/cgroup ] || runtimes+=("$(command -v crun)")

home=$(mktemp -d /tmp/fermata-bench-oci.XXXXXX)
cleanup() {
  for runtime in "${runtimes[@]}"; do "$runtime" --root "$home/${runtime##*/}" delete --force bench >/dev/null 2>&1 || true; done
  rmdir "$mount/fermata-bench-oci-$$" 2>/dev/null || true
  rm -rf "$home"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
mkdir -p "$home/bundle/rootfs/"{bin,dev,etc,proc,sys}
cp /bin/busybox "$home/bundle/rootfs/bin/true"
"$bin/fermata-oci" spec --bundle "$home/bundle"
jq --arg group "/fermata-bench-oci-$$" '.ociVersion = "1.0.2" | .process.terminal = false | .process.args = ["true"] | .linux.cgroupsPath = $group |
  .linux.seccomp = {defaultAction: "SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X86_64"], syscalls: [{action: "SCMP_ACT_ALLOW", names: $names}]}' \
  --argjson names "$(printf '"%s",' access arch_prctl brk capget capset chdir clone close close_range dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait \
    execve execveat exit exit_group faccessat2 fchdir fchown fcntl fstat fstatfs futex getcwd getdents64 getegid geteuid getgid getpid getppid getrandom \
    gettid getuid ioctl lseek lstat madvise mmap mprotect munmap nanosleep newfstatat open openat openat2 pipe2 poll prctl pread64 prlimit64 pselect6 \
    read readlink readlinkat rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield sendmsg set_robust_list set_tid_address setgid \
    setgroups setresgid setresuid setsid setuid sigaltstack stat statfs statx tgkill uname wait4 waitid write writev | sed 's/,$//; s/^/[/; s/$/]/')" \
  "$home/bundle/config.json" >"$home/config.json"
mv "$home/config.json" "$home/bundle/config.json"

# once RUNTIME: microseconds a run, of `runs` in a row.
once() {
  local begin end
  begin=$(date +%s%N)
  for ((i = 0; i < runs; ++i)); do "$1" --root "$home/${1##*/}" run --bundle "$home/bundle" bench </dev/null; done
  end=$(date +%s%N)
  echo $(((end - begin) / runs / 1000))
}
declare -A best
for runtime in "${runtimes[@]}"; do
  "$runtime" --root "$home/${runtime##*/}" run --bundle "$home/bundle" bench </dev/null
  best[$runtime]=$(once "$runtime")
done
for ((round = 1; round < rounds; ++round)); do
  for runtime in "${runtimes[@]}"; do
    time=$(once "$runtime")
    ((time >= best[$runtime])) || best[$runtime]=$time
  done
done
echo "Linux $(uname -r), $(nproc) CPUs, control groups at $mount; run of true, $runs in a row, best of $rounds"
for runtime in "${runtimes[@]}"; do
  version=$("$runtime" --version | sed -n '1s/.*version //p')
  awk -v name="${runtime##*/} $version" -v time="${best[$runtime]}" -v ours="${best[${runtimes[0]}]}" \
    'BEGIN {printf "%-36s %8.2f ms %7.1fx\n", name, time / 1000, time / ours}'
done
