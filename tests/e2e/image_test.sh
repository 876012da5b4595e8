#!/bin/bash
# image_test.sh BIN-DIR: images go from skopeo to a registry (Debian's docker-registry, with TLS and passwords) to
# fermata and crictl and back, and are what umoci makes of them. Skipped (77) where those are missing.
set -euo pipefail
bin=$(realpath "$1")
. "$(dirname "$(realpath "$0")")/daemon.sh"
for tool in docker-registry skopeo umoci openssl jq getfattr; do
  command -v $tool >/dev/null || skip "needs $tool (packaging/setup.sh --tests)"
done

registry=''
end_test() {
  [ -z "$registry" ] || { kill "$registry"; wait "$registry"; } 2>/dev/null || true
  f rm --force web >/dev/null 2>&1 || true
}

# The registry: a certificate authority of its own, user:password, a port that the kernel chooses.
(
  cd "$home"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -subj /CN=test-ca -days 2
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.csr -subj /CN=registry
  openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out tls.crt \
    -extfile <(printf 'subjectAltName=IP:127.0.0.1')
) >"$home/openssl.log" 2>&1
echo 'user:$2y$04$GtnqqTIoL1gnT1ivgOPd/e3gutkCcpAmi1pMV2eaS4.IshTh.3q7m' >"$home/passwords"
cat >"$home/registry.yml" <<END
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $home/registry}, delete: {enabled: true}}
auth: {htpasswd: {realm: test, path: $home/passwords}}
http: {addr: "127.0.0.1:0", tls: {certificate: $home/tls.crt, key: $home/tls.key}}
END
OTEL_TRACES_EXPORTER=none docker-registry serve "$home/registry.yml" >"$home/registry.out" 2>&1 &
registry=$!
listens() { host=$(sed -nE 's/.*listening on (127[^,"]*).*/\1/p' "$home/registry.out" | head -n1); [ -n "$host" ]; }
until_true listens
mkdir -p "$home/certs.d/$host"
printf 'ca = "%s"\nserver = "https://%s"\n' "$home/ca.crt" "$host" >"$home/certs.d/$host/hosts.toml"

# An image whose files are of every kind.
tree=$home/tree
mkdir -p "$tree"/{bin,etc/deep/er,tmp}
cp "$(command -v busybox)" "$tree/bin/busybox"
for name in sh sleep cat echo true; do ln "$tree/bin/busybox" "$tree/bin/$name"; done
ln -s ../bin/sh "$tree/etc/link"
echo text >"$tree/etc/deep/er/file" && chmod 640 "$tree/etc/deep/er/file" && chown 1234:70000 "$tree/etc/deep/er/file"
cp "$tree/bin/busybox" "$tree/bin/set-id" && chmod 6755 "$tree/bin/set-id"
chmod 1777 "$tree/tmp"
truncate -s 3M "$tree/etc/sparse" && echo end >>"$tree/etc/sparse"
mkfifo "$tree/etc/pipe"
setfattr -n user.note -v something "$tree/etc/deep" 2>/dev/null || true
touch -d '2001-02-03 04:05:06.789' "$tree/etc/deep/er/file" "$tree/etc/deep/er" "$tree/etc"
oci=$home/layout
umoci init --layout "$oci" 2>/dev/null
umoci new --image "$oci:app"
umoci insert --image "$oci:app" "$tree" / 2>/dev/null
umoci config --image "$oci:app" --config.cmd sh --config.env PATH=/bin
cp "$home/ca.crt" "$home/certs.d/$host/ca.crt"
skopeo copy -q --insecure-policy --dest-creds user:password --dest-cert-dir "$home/certs.d/$host" "oci:$oci:app" "docker://$host/team/app:1"

start_daemon '[images]' "hosts_dir = \"$home/certs.d\"" "auth_files = [\"$home/daemon-auth.json\"]" 'signature_policy = []' \
  "pinned = [\"$host/team/pinned:*\"]"
export REGISTRY_AUTH_FILE=$home/auth.json HOME=$home XDG_RUNTIME_DIR='' DOCKER_CONFIG=''
name=$host/team/app:1

# Who may have it.
check_like "without a login the registry's word is told" "$(fails 125 f pull "$name")" "$host: team/app: fetch manifest 1: 401 "
check_like "a wrong password is not kept" "$(fails 125 f login -u user -p wrong "$host")" '401 Unauthorized'
[ ! -e "$home/auth.json" ] || check "no file of it" yes no
check_like "login" "$(f login -u user --password-stdin "$host" <<<password)" 'succeeded'
check "its file is for root alone" "$(stat -c %a "$home/auth.json")" 600
check "pull with --quiet prints the id only" "$(f pull -q "$name" 2>&1)" "sha256:$(jq -r .config.digest "$oci/blobs/sha256/$(jq -r '.manifests[0].digest' "$oci/index.json" | cut -d: -f2)" | cut -d: -f2)"
check_like "again: the layers are here" "$(f pull "$name" 2>&1)" 'already here'
check_like "the password is in no log" "$(grep -c -e password -e dXNlcjpwYXNzd29yZA "$home/daemon.log" || true)" '^0$'

# What it is: as umoci unpacks it.
umoci unpack --image "$oci:app" "$home/bundle" 2>/dev/null
list() {
  (cd "$1" && find . -printf '%p %y %m %U %G %l %n\n' | LC_ALL=C sort
    find . -type f -exec sha256sum {} + | LC_ALL=C sort -k2
    find . -type f -printf '%p %TY-%Tm-%Td %TH:%TM:%.2TS\n' | LC_ALL=C sort
    getfattr -R -h -d -m '^user\.' . 2>/dev/null | LC_ALL=C sort)
}
layer=$(ls -d "$home/data/layers/"*)
check "one layer" "$(wc -w <<<"$layer")" 1
list "$layer" >"$home/ours"
list "$home/bundle/rootfs" >"$home/theirs"
check "the tree is what umoci makes, file by file" "$(diff "$home/ours" "$home/theirs" | head -n 20)" ""

# Names.
f image tag "$name" "$host/team/pinned:2"
check "tag" "$(f image ls --json | jq -r '.images[0].tags | join(" ")')" "$name $host/team/pinned:2"
check "pinned by the configuration" "$(f image ls --json | jq -r '.images[0].pinned')" true
check "a pinned image is not pruned" "$(f image prune --all | tail -n1)" "freed 0 B of 0 images"
check "rm takes one name" "$(f image rm "$host/team/pinned:2")" "untagged $host/team/pinned:2"
check "inspect" "$(f image inspect "$name" | jq -r '.[0].config.config.Cmd[0]')" sh
check_like "prune tells what it would do" "$(f image prune --all --dry-run | tail -n1)" '^would free [0-9.]+ MB of 1 image$'

# There and back.
id=$(f image ls -q)
f image export -o "$home/out.tar" "$name"
check_like "push to another repository" "$(f push -q "$name" "$host/team/copy:1")" '^sha256:[0-9a-f]{64}$'
check "rm" "$(f image rm "$name")" "removed $name"
check "nothing is left" "$(ls "$home/data/layers" "$home/data/frames" "$home/data/blobs/sha256" "$home/data/staging" | grep -vc -e : -e '^$' || true)" 0
f image import "$home/out.tar" >/dev/null
check "an import of the export has the same id" "$(f image ls -q)" "$id"
f image rm "$name" >/dev/null
check "and so has what was pushed" "$(f pull -q "$host/team/copy:1")" "$id"
skopeo copy -q --insecure-policy --src-creds user:password --src-cert-dir "$home/certs.d/$host" "docker://$host/team/copy:1" "oci:$home/back:app"
umoci unpack --image "$home/back:app" "$home/bundle2" 2>/dev/null
list "$home/bundle2/rootfs" >"$home/back-list"
check "skopeo and umoci get the same tree back" "$(diff "$home/back-list" "$home/theirs" | head -n 20)" ""

# Damage.
check "verify" "$(f image verify)" "1 image: whole"
printf X | dd of="$(ls "$home"/data/layers/*/etc/deep/er/file)" conv=notrunc status=none
check_like "verify finds it" "$(fails 1 f image verify)" "$host/team/copy:1: layer sha256:.*not what was unpacked"
f logout "$host" >/dev/null
cp "$home/passwords" "$home/ignored"
printf '{"auths":{"%s":{"auth":"dXNlcjpwYXNzd29yZA=="}}}' "$host" >"$home/daemon-auth.json"
check_like "and repairs it, with the daemon's own login" "$(f image verify --repair)" 'repaired$'
check "whole again" "$(f image verify)" "1 image: whole"

# A pod whose image is pulled for it.
rm -f "$home/daemon-auth.json"
cat >"$home/pod.yaml" <<END
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  restartPolicy: Never
  hostNetwork: true
  containers:
  - {name: c, image: "$host/team/app:1", command: [echo, pulled]}
END
check_like "a pod's image is refused without a login" "$(fails 125 f run "$home/pod.yaml")" '401'
printf '{"auths":{"%s":{"auth":"dXNlcjpwYXNzd29yZA=="}}}' "$host" >"$home/daemon-auth.json"
check_like "and pulled with one" "$(f run "$home/pod.yaml")" 'pulled'
check "imagePullPolicy: Never" "$(sed -e "s/app:1/none:1/; s/command/imagePullPolicy: Never, command/" "$home/pod.yaml" | fails 125 f run - | grep -c 'not there')" 1

# crictl.
if [ -x "${FERMATA_CRICTL:-}" ]; then
  rm -f "$home/daemon-auth.json"
  f image rm --force "$id" >/dev/null
  check_like "crictl pull without a login" "$(fails 1 c pull "$name")" '401 Unauthorized'
  check_like "crictl pull --creds" "$(c pull --creds user:password "$name" 2>/dev/null)" "Image is up to date for $id"
  check_like "crictl pull --auth" "$(c pull --auth dXNlcjpwYXNzd29yZA== "$name" 2>/dev/null)" "$id"
  digest=$(f image inspect "$name" | jq -r '.[0].digests[0]')
  check "crictl images --digests" "$(c images --digests -o json 2>/dev/null | jq -r '.images[0].repoDigests[0]')" "$digest"
  check "crictl images by name" "$(c images -q "$name" 2>/dev/null)" "$id"
  check "crictl inspecti by digest" "$(c inspecti "$digest" 2>/dev/null | jq -r .status.id)" "$id"
  check_like "crictl imagefsinfo" "$(c imagefsinfo 2>/dev/null | jq -r '.status.imageFilesystems[0].usedBytes.value')" '^[1-9][0-9]*$'
  check_like "crictl rmi" "$(c rmi "$name" 2>/dev/null)" "Deleted: $name"
  check "crictl rmi --prune" "$(c pull -q --creds user:password "$digest" >/dev/null 2>&1 || c pull --creds user:password "$digest" >/dev/null 2>&1; c rmi --prune 2>/dev/null | grep -c Deleted)" 1
fi

# Nobody there.
kill "$registry" && { wait "$registry" || true; }
registry=''
check_like "a registry that is gone is told so" "$(fails 125 f pull "$name")" 'RegistryUnavailable: registry '
echo "passed"
