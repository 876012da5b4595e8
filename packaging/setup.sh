#!/bin/sh
# setup.sh [--tests] [--fuzz] [--vm] [--bench]: installs with apt what is missing to build and run Fermata on Debian 12,
# and with the options what the tests, the fuzz targets, the virtual machines of tests/vm, and the comparisons of
# tests/bench need besides.
# Does nothing, and needs no network, when all is there.
set -eu

packages='g++ cmake ninja-build ccache pkg-config lld libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev
  protobuf-compiler nlohmann-json3-dev libseccomp-dev libcap-dev libsqlite3-dev libssl-dev libarchive-dev libisal-dev
  libzstd-dev zlib1g-dev libcurl4-openssl-dev libmnl-dev libnftables-dev libboost1.81-dev libyaml-cpp-dev libtomlplusplus-dev prometheus-cpp-dev libcli11-dev libspdlog-dev libfmt-dev libgtest-dev
  libgmock-dev libbenchmark-dev busybox-static jq procps'
for option in "$@"; do
  case $option in
    --tests) packages="$packages clang-format clang-tidy iproute2 util-linux runc containerd podman conmon
      docker-registry skopeo umoci apache2-utils prometheus openssl attr iptables containernetworking-plugins" ;;
    --fuzz) packages="$packages clang-19 libclang-rt-19-dev llvm-19" ;;
    --vm) packages="$packages qemu-system-x86 debootstrap e2fsprogs cpio xz-utils" ;;
    --bench) packages="$packages containerd runc crun containernetworking-plugins umoci libarchive-tools" ;;
    *) echo "usage: $0 [--tests] [--fuzz] [--vm] [--bench]" >&2; exit 2 ;;
  esac
done

missing=
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "$0: needs root to install:$missing" >&2; exit 1; }

echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# apt LINE...: quiet; what it said is printed if it failed. A service of a package (containerd) is not started.
log=$(mktemp)
policy=/usr/sbin/policy-rc.d made_policy=
cleanup() { rm -f "$log"; [ -z "$made_policy" ] || rm -f "$policy"; }
trap cleanup EXIT
trap 'exit 130' INT TERM
if [ ! -e $policy ]; then
  made_policy=1
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi
install() { apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install $missing >"$log" 2>&1; }
# The lists on the machine may be missing or too old; only then are they fetched.
install && exit 0
apt-get -q -o DPkg::Lock::Timeout=120 update >"$log" 2>&1 || { cat "$log" >&2; echo "$0: apt-get update failed" >&2; exit 1; }
install || { tail -n 40 "$log" >&2; echo "$0: apt-get install failed" >&2; exit 1; }
