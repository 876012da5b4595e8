#!/bin/sh
# make-image.sh OUT.tar NAME [PROGRAM]: an OCI image archive of one layer: Debian's static busybox, or with PROGRAM
# only that (static) program, which the image then runs. No network, and the same program gives the same bytes: every
# time stamp is zero, every owner is root.
set -eu
[ $# = 2 ] || [ $# = 3 ] || { echo "usage: $0 OUT.tar NAME [PROGRAM]" >&2; exit 2; }
out=$1 name=$2 program=${3:-}
busybox=/bin/busybox
[ -n "$program" ] || [ -x $busybox ] || { echo "$0: no $busybox: install busybox-static" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

root=$work/root
make_busybox_root() {
  mkdir -p "$root/bin" "$root/dev" "$root/etc" "$root/home/user" "$root/proc" "$root/root" "$root/sys" "$root/tmp" \
    "$root/usr/bin" "$root/var/tmp" "$root/var/www"
  chmod 1777 "$root/tmp" "$root/var/tmp"
  chmod 700 "$root/root"
  cp $busybox "$root/bin/busybox"
  chmod 755 "$root/bin/busybox"
  for applet in $($busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\nnogroup:x:65534:\n' >"$root/etc/group"
}
if [ -n "$program" ]; then
  mkdir -p "$root"
  cp "$program" "$root/"
  chmod 755 "$root/${program##*/}"
  process="\"Entrypoint\":[\"/${program##*/}\"]"
else
  make_busybox_root
  process='"Cmd":["sh"]'
fi

# pack DIR OUT: reproducible.
pack() { tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -cf "$2" .; }

layout=$work/layout blobs=$work/layout/blobs/sha256
mkdir -p "$blobs"
# blob FILE: moves it among the blobs; sets $digest and $size.
blob() {
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  size=$(stat -c %s "$1")
  mv "$1" "$blobs/$digest"
}

pack "$root" "$work/layer.tar"
diff_id=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
gzip -n -9 "$work/layer.tar"
blob "$work/layer.tar.gz"
layer=$digest layer_size=$size

architecture=$(dpkg --print-architecture)
cat >"$work/config.json" <<END
{"architecture":"$architecture","os":"linux","created":"1970-01-01T00:00:00Z","config":{"Env":["PATH=/bin:/usr/bin"],$process,"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["sha256:$diff_id"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"busybox-static"}]}
END
blob "$work/config.json"
config=$digest config_size=$size

cat >"$work/manifest.json" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$config_size},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$layer","size":$layer_size}]}
END
blob "$work/manifest.json"

# ctr takes the name from the first annotation, others from the second.
cat >"$layout/index.json" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$digest","size":$size,"platform":{"architecture":"$architecture","os":"linux"},"annotations":{"io.containerd.image.name":"$name","org.opencontainers.image.ref.name":"$name"}}]}
END
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
pack "$layout" "$work/image.tar"
mv "$work/image.tar" "$out"
