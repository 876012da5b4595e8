#!/bin/bash
# compare_test.sh BIN-DIR: the same config.json by fermata-oci and by the runtimes that are here (runc; crun only where
# control groups are v2 alone), and what the container sees of itself, field by field. What may differ stands in the
# table below with its reason; anything else fails. Skipped (77) where there is no other runtime.
set -euo pipefail
bin=$(realpath "$1")
skip() { echo "SKIPPED: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "needs root"
mount=$(awk '{for (i = 7; i < NF; i++) if ($i == "-" && $(i + 1) == "cgroup2") {print $5; exit}}' /proc/self/mountinfo)
[ -n "$mount" ] || skip "needs a cgroup2 mount"
others=()
! command -v runc >/dev/null || others+=(runc)
! command -v crun >/dev/null || [ "$mount" != /sys/fs/cgroup ] || others+=(crun)
[ ${#others[@]} -gt 0 ] || skip "needs runc or crun (packaging/setup.sh --tests)"

# RUNTIME FIELD (an extended regular expression, as the reports below name it) and why it may differ there.
allowed='
runc status:(Pid|PPid|Tgid|NSpid|NStgid|NSpgid|NSsid|Ngid)$   numbers of processes
crun status:(Pid|PPid|Tgid|NSpid|NStgid|NSpgid|NSsid|Ngid)$   numbers of processes
runc mount:/sys/fs/cgroup.*   where control groups are hybrid runc uses and shows v1, ours v2
runc mount:/sys$     ours is read-only as a mount, runc'"'"'s as a file system too
crun mount:/sys$     the same
runc mount:/sys/firmware$   the cover of a masked directory: ours has nosuid, nodev, noexec besides ro
crun mount:/sys/firmware$   the same
runc cgroup:.*   the same, in /proc/self/cgroup
runc dev:/dev/core$  a link to /proc/kcore, which is masked; the specification has none
crun dev:/dev/core$  the same
runc mount:/$        without rootfsPropagation runc leaves the root a slave of the bundle'"'"'s mount, ours is cut off
crun mount:/proc/(kcore|keys)$   the cover of a masked file: crun takes the null device of the host, ours that of the container
crun mount:/proc/(bus|irq|sys|sysrq-trigger)$   a read-only path: crun mounts without nosuid, nodev, noexec, which its /proc has, ours keeps them
crun mount:/sys/fs/cgroup$   the name of the source
'
home=$(mktemp -d /tmp/fermata-compare.XXXXXX)
cleanup() {
  status=$?
  for runtime in "$bin/fermata-oci" "${others[@]}"; do
    "$runtime" --root "$home/state-${runtime##*/}" delete --force compare >/dev/null 2>&1 || true
  done
  find "$mount" -maxdepth 1 -type d -name "fermata-compare-$$*" -exec rmdir {} + || true
  rm -rf "$home"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

mkdir -p "$home/bundle/rootfs/"{bin,dev,etc,proc,sys,tmp,root}
cp /bin/busybox "$home/bundle/rootfs/bin/"
for applet in sh cat ls env hostname sed sort readlink stat test pwd id sleep; do ln -s busybox "$home/bundle/rootfs/bin/$applet"; done
# What a container can see of itself; "KIND:NAME VALUE" a line. Devices of file systems and ids of mounts are left out:
# they are numbers of this run.
cat >"$home/bundle/rootfs/look" <<'END'
sed 's/^/status:/; s/:\t */ /2; s/:[\t ][\t ]*/ /2' /proc/self/status | sed -E '/status:(Vm|Rss|Hugetlb|voluntary|nonvoluntary|Threads|Mems|Cpus|untag|x86|SigQ|Speculation|CoreDumping|THP|FDSize|State|Name|Shd|ShdPnd|SigPnd)/d; s/^status:([A-Za-z_]+):?[\t ]*/status:\1 /'
sed -E 's/^(Max [a-z -]+[a-z])  +/limit:\1=/; /^Limit/d' /proc/self/limits | sed -E 's/  +/ /g; s/ $//' | sed -E 's/^limit:(.*)=/limit:\1 /; s/^limit:Max ([a-z]+) ([a-z ]*)/limit:\1_\2/'
while read -r id parent device root at options rest; do
  optional=${rest%% - *}; fs=${rest##*- }
  case $optional in -*) optional=none ;; *) optional=$(echo "$optional" | sed 's/:[0-9]*//g') ;; esac
  case $at in /proc/* | /sys/firmware | /sys/devices*) root=any ;; esac
  case $at in /) root=/ fs='rootfs' ;; esac
  echo "mount:$at $options $optional $fs" | sed -E 's/,size=[0-9]+k//; s/,inode64//; s/,relatime//; s/,lazytime//'
done </proc/self/mountinfo
ls -l /proc/self/fd | sed -nE 's/.* ([0-9]+) -> .*/fd:\1 open/p' | sed '/fd:3 /d'
sed 's/^/cgroup:/' /proc/self/cgroup | sed 's/$/ is/'
for f in /dev/* /dev/.; do echo "dev:$f $(stat -c '%F %a %u %g %t:%T' $f) $(readlink $f)"; done
env | sed '/^SHLVL=/d; /^_=/d; s/=/ /; s/^/env:/'
echo "hostname:is $(hostname)"; echo "cwd:is $(pwd)"; echo "id:is $(id)"
for n in pid ipc uts mnt net cgroup user time; do
  [ -e /proc/self/ns/$n ] && echo "session:is $(sed -E 's/^([0-9]+) .*\) . [0-9]+ ([0-9]+) ([0-9]+) ([0-9]+).*/\2 \3 \4/' /proc/1/stat)"
done | sort -u
echo "oom:is $(cat /proc/self/oom_score_adj)"; echo "personality:is $(cat /proc/self/personality)"
for p in /proc/kcore /proc/keys /proc/sysrq-trigger /proc/sys/kernel /sys/firmware; do
  echo "path:$p $(stat -c '%F %a %t:%T' $p) $(test -w $p && echo w)"
done
END
caps='["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"]'
cat >"$home/bundle/config.json" <<END
{"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": true}, "hostname": "compare",
 "process": {"args": ["sh", "/look"], "cwd": "/tmp", "env": ["PATH=/bin", "HOME=/root", "A=b c"], "noNewPrivileges": true,
  "user": {"uid": 0, "gid": 0, "additionalGids": [10, 20]}, "oomScoreAdj": 500,
  "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
  "capabilities": {"bounding": $caps, "effective": $caps, "permitted": $caps}},
 "mounts": [
  {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
  {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
  {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
  {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
  {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
  {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
  {"destination": "/etc/hostname", "type": "bind", "source": "/etc/hostname", "options": ["bind", "ro", "nosuid", "nodev", "rprivate"]}],
 "linux": {"cgroupsPath": "/fermata-compare-$$", "resources": {"devices": [{"allow": false, "access": "rwm"}]},
  "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}],
  "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"},
  "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]},
  "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware"],
  "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"]}}
END

# report RUNTIME: sorted, without what names the run.
report() {
  "$1" --root "$home/state-${1##*/}" run --bundle "$home/bundle" compare >"$home/out" 2>"$home/err" </dev/null ||
    { echo "FAILED: $1: $(cat "$home/err")"; exit 1; }
  sed "s/fermata-compare-$$/GROUP/g" "$home/out" | sort -u >"$home/${1##*/}"
}
report "$bin/fermata-oci"
failed=0
for other in "${others[@]}"; do
  report "$other"
  echo "$other: $(wc -l <"$home/$other") lines"
  while read -r side field value; do
    reason=$(awk -v runtime="$other" -v field="$field" '$1 == runtime && field ~ ("^" $2) {$1 = $2 = ""; print; exit}' <<<"$allowed")
    case $side in '<') who=$other ;; *) who=fermata-oci ;; esac
    if [ -n "$reason" ]; then
      echo "  allowed: $who: $field $value  ($(sed 's/^ *//' <<<"$reason"))"
    else
      echo "  DIFFERENT: $who: $field $value"
      failed=1
    fi
  done < <(diff "$home/$other" "$home/fermata-oci" | grep '^[<>]')
done
[ $failed = 0 ] && echo "nothing else differs"
exit $failed
