#!/bin/bash
# Builds the test guest, target/guest/{vmlinuz,initramfs}, from Debian's cloud kernel and busybox.
# The kernel package is used where it is installed, else downloaded and unpacked; never installed.
# Built again only when the kernel, busybox or the files of this build changed.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
out=$target/guest
busybox=$(command -v busybox) || { echo "guest-image: busybox is missing: run scripts/setup.sh" >&2; exit 1; }
modules="virtio_pci virtio_net 8021q"
tool=qemu-tests/src/bin/datagrams.rs
mkdir -p "$out"

# One build at a time: several runs may share a target directory.
exec 9>"$out/.lock"
flock 9

# Sets `root` (where boot/ and lib/modules/ are) and `version`.
find_kernel() {
  for root in / "$out/kernel"; do
    for vmlinuz in $(ls "$root"/boot/vmlinuz-*-cloud-amd64 2>/dev/null | sort -Vr); do
      version=${vmlinuz##*/vmlinuz-}
      [ -r "$vmlinuz" ] && [ -d "$root/lib/modules/$version/kernel/drivers/net" ] && return
    done
  done
  return 1
}

download_kernel() {
  echo "==> downloading Debian's cloud kernel for the guests"
  rm -rf "$out/kernel" "$out/download"
  mkdir -p "$out/kernel" "$out/download"
  local package
  package=$(depends_of_meta) || { apt-get -q update >/dev/null; package=$(depends_of_meta); }
  # The lists may name a version that the mirror has replaced since.
  (cd "$out/download" && { apt-get -q download "$package" || { apt-get -q update && apt-get -q download "$package"; }; }) >/dev/null
  dpkg-deb -x "$out"/download/*.deb "$out/kernel"
  rm -rf "$out/download"
}

depends_of_meta() {
  apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -1 | grep .
}

find_kernel || { download_kernel && find_kernel; } || { echo "guest-image: no usable cloud kernel" >&2; exit 1; }

inputs=$(cat "$busybox" "$root/boot/vmlinuz-$version" "$0" scripts/guest-init "$tool" | sha256sum | cut -d' ' -f1)
if [ -s "$out/vmlinuz" ] && [ -s "$out/initramfs" ] && [ "$(cat "$out/inputs" 2>/dev/null)" = "$inputs" ]; then
  exit 0
fi
echo "==> building the guest image from Linux $version"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree"/{bin,dev,proc,sys,tmp,etc,modules}

# depmod works out the dependencies; walk them depth first, so that the list is in loading order.
mkdir -p "$work/lib/modules"
cp -r "$root/lib/modules/$version" "$work/lib/modules/"
depmod -b "$work" "$version" 2>/dev/null
awk -v wanted="$modules" '
  function load(path,   parts, n, i) {
    if (path in done) return
    done[path] = 1
    n = split(needs[path], parts, " ")
    for (i = 1; i <= n; i++) load(parts[i])
    print path
  }
  { path = $1; sub(/:$/, "", path); needs[path] = ""; for (i = 2; i <= NF; i++) needs[path] = needs[path] " " $i
    name = path; sub(/.*\//, "", name); sub(/\.ko.*/, "", name); where[name] = path }
  END { n = split(wanted, names, " "); for (i = 1; i <= n; i++) if (names[i] in where) load(where[names[i]]) }
' "$work/lib/modules/$version/modules.dep" >"$work/order"
while read -r path; do
  file=$work/lib/modules/$version/$path
  case $path in
    *.xz) xz -dc "$file" ;;
    *.zst) zstd -dcq "$file" ;;
    *) cat "$file" ;;
  esac >"$tree/modules/$(basename "$path" | sed 's/\.ko.*/.ko/')"
  basename "$path" | sed 's/\.ko.*/.ko/' >>"$tree/modules/order"
done <"$work/order"

cp "$busybox" "$tree/bin/busybox"
"$busybox" --list | while read -r name; do [ "$name" = busybox ] || ln -s busybox "$tree/bin/$name"; done
install -m 755 scripts/guest-init "$tree/init"
rustc --edition 2024 -O -C target-feature=+crt-static -C panic=abort -C strip=symbols -o "$work/datagrams" "$tool"
cp "$work/datagrams" "$tree/bin/"

# Not compressed: unpacking costs an emulated processor more than reading.
(cd "$tree" && find . | cpio -o -H newc --quiet -R 0:0) >"$work/initramfs"
cp "$root/boot/vmlinuz-$version" "$work/vmlinuz"
mv "$work/vmlinuz" "$work/initramfs" "$work/datagrams" "$out/"

# Which accelerator works: /dev/kvm may be there and not serve, so a guest must have booted on it.
accelerator=tcg
if [ -w /dev/kvm ]; then
  timeout -k 1 15 qemu-system-x86_64 -nodefaults -no-user-config -display none -machine q35,accel=kvm -cpu host -m 128M \
    -kernel "$out/vmlinuz" -initrd "$out/initramfs" -append "console=ttyS0 quiet panic=-1" \
    -serial null -serial "file:$work/kvm" >/dev/null 2>&1 &
  qemu=$!
  while kill -0 "$qemu" 2>/dev/null; do
    if grep -qs '^ready ' "$work/kvm"; then accelerator=kvm; kill "$qemu"; break; fi
    sleep 0.2
  done
  wait "$qemu" 2>/dev/null || true
fi
echo "$accelerator" >"$out/accelerator"
echo "==> guests run with $accelerator"
echo "$inputs" >"$out/inputs"
