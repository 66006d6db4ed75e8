#!/bin/bash
# Boots a throw-away copy of this machine with systemd, runs inside.sh in it, and ends when that has ended.
#   boot.sh DIRECTORY      with inside.sh, frames.py and strowger.deb; results and logs come there
# The copy is an overlay in memory that nobody else sees, over this machine's root; its network is its own.
set -euo pipefail
directory=$1

root=$(mktemp -d)
trap 'rmdir "$root"' EXIT
mount -t tmpfs -o mode=755 tmpfs "$root"
mkdir "$root"/{upper,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/root"
copy=$root/root

# Only what systemd needs to run one service; nothing that this machine starts besides.
rm -rf "$copy"/etc/systemd/system/* "$copy"/etc/systemd/system.control "$copy"/etc/init.d/* "$copy"/etc/rc?.d/* \
  "$copy"/var/log/journal
mkdir -p "$copy/t"
: >"$copy/etc/fstab"
cat >"$copy/etc/systemd/system/test.service" <<'END'
[Unit]
Description=What is tested
Requires=basic.target
After=basic.target systemd-journald.service
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/bash /t/inside.sh
TimeoutStartSec=infinity
END

systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --private-network --directory="$copy" --machine="strowger-$$" \
  --bind="$directory:/t" --bind=/dev/net/tun --console=read-only --boot systemd.unit=test.service systemd.show_status=0 \
  >"$directory/console" 2>&1 </dev/null
umount -l "$root/root" "$root"
