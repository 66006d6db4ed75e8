#!/bin/sh
# Makes a Debian package of a program that is built already.
#   scripts/build-deb.sh BINARY DIRECTORY      prints the package's path
# Needs dpkg-deb, binutils and gzip. SOURCE_DATE_EPOCH makes two builds of one program the same to the byte; LEVEL is that of the compression.
set -eu
binary=$(realpath "${1:?which program?}")
out=$(realpath "${2:?into which directory?}")
cd "$(dirname "$0")/.."

for tool in dpkg-deb strip objdump gzip md5sum; do
  command -v $tool >/dev/null || { echo "build-deb: $tool is missing: apt-get install dpkg binutils gzip" >&2; exit 1; }
done

version=$("$binary" --version | awk '{ print $2 }')
architecture=$(dpkg --print-architecture)
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}"
# By the names that Debian's own tools know.
MAINTAINER="${DEBFULLNAME:-The Strowger contributors} <${DEBEMAIL:-strowger@localhost}>"
export SOURCE_DATE_EPOCH

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
umask 022

# The program without what only a debugger reads; its own commands run before that, as it was tested.
DESTDIR=$stage PREFIX=/usr SYSCONFDIR=/etc scripts/install.sh install "$binary"
strip --strip-unneeded -R .comment -R .note "$stage/usr/bin/strowger"
gzip -9n "$stage"/usr/share/man/man1/*.1
mkdir -p "$stage/lib"
mv "$stage/usr/lib/systemd" "$stage/lib/systemd"

doc=$stage/usr/share/doc/strowger
rm "$doc/CHANGELOG.md"
gzip -9nc CHANGELOG.md >"$doc/NEWS.gz"
printf 'strowger (%s) unstable; urgency=medium\n\n  * See NEWS.gz.\n\n -- %s  %s\n' \
  "$version" "$MAINTAINER" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.gz"
{
  echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
  echo 'Upstream-Name: strowger'
  echo
  echo 'Files: *'
  sed -n 's/^Copyright (c) /Copyright: /p' LICENSE-MIT
  echo 'License: Expat or Apache-2.0'
  echo
  echo 'License: Expat'
  sed -n '/^Permission/,$p' LICENSE-MIT | sed -e 's/^$/./' -e 's/^/ /'
  echo
  echo 'License: Apache-2.0'
  echo ' On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.'
} >"$doc/copyright"
chmod 644 "$doc"/*.gz "$doc/copyright"

mkdir "$stage/DEBIAN"
libc=$(objdump -T "$stage/usr/bin/strowger" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 | sed 's/GLIBC_//')
size=$(du -k -s --apparent-size "$stage" | cut -f1)
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@MAINTAINER@|$MAINTAINER|" \
  -e "s|@INSTALLED_SIZE@|$size|" -e "s|@LIBC@|$libc|" dist/debian/control.in >"$stage/DEBIAN/control"
for script in postinst prerm postrm; do
  install -m 755 "dist/debian/$script" "$stage/DEBIAN/$script"
done
(cd "$stage" && find etc -type f | sed 's|^|/|') >"$stage/DEBIAN/conffiles"
(cd "$stage" && find lib usr -type f | LC_ALL=C sort | xargs -d '\n' md5sum) >"$stage/DEBIAN/md5sums"
chmod 644 "$stage/DEBIAN/control" "$stage/DEBIAN/conffiles" "$stage/DEBIAN/md5sums"

package=$out/strowger_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zxz -z"${LEVEL:-6}" --build "$stage" "$package" >/dev/null
echo "$package"
