#!/bin/sh
# Puts the switch where the system finds it, or takes it away again.
#   scripts/install.sh install BINARY
#   scripts/install.sh uninstall
# Environment: DESTDIR (a root to install into; then nothing of this system is touched), PREFIX (/usr/local),
# SYSCONFDIR (/etc). Make calls it: `make install`, `make uninstall`, `make deb`.
set -eu
cd "$(dirname "$0")/.."

DESTDIR=${DESTDIR-}
PREFIX=${PREFIX:-/usr/local}
SYSCONFDIR=${SYSCONFDIR:-/etc}
bin=$PREFIX/bin
doc=$PREFIX/share/doc/strowger
man=$PREFIX/share/man/man1
units=$PREFIX/lib/systemd/system
config=$SYSCONFDIR/strowger

fail() { echo "install: $*" >&2; exit 1; }

# A file under DESTDIR, from standard input, with the paths of this installation.
put() {
  mkdir -p "$DESTDIR$(dirname "$1")"
  sed -e "s|@BINDIR@|$bin|g" -e "s|@SYSCONFDIR@|$SYSCONFDIR|g" -e "s|@DOCDIR@|$doc|g" >"$DESTDIR$1"
  chmod 644 "$DESTDIR$1"
}

# Where zsh looks: Debian's packages have a directory of their own.
zsh_directory() {
  case $PREFIX in
    /usr) echo "$PREFIX/share/zsh/vendor-completions" ;;
    *) echo "$PREFIX/share/zsh/site-functions" ;;
  esac
}

install_all() {
  binary=$1
  [ -x "$binary" ] || fail "there is no program $binary: build it with \`make build'"
  install -D -m 755 "$binary" "$DESTDIR$bin/strowger"

  put "$units/strowger.service" <dist/strowger.service.in
  put "$PREFIX/lib/sysusers.d/strowger.conf" <dist/strowger.sysusers
  put "$PREFIX/lib/tmpfiles.d/strowger.conf" <dist/strowger.tmpfiles
  if [ -e "$DESTDIR$config/strowger.toml" ]; then
    echo "install: $config/strowger.toml is there already, and stays as it is"
  else
    put "$config/strowger.toml" <dist/strowger.toml
  fi

  put "$doc/README.md" <README.md
  put "$doc/CHANGELOG.md" <CHANGELOG.md
  put "$doc/operations.md" <docs/operations.md
  put "$doc/namespaces.conf" <dist/namespaces.conf
  put "$doc/example.toml" <docs/example.toml
  put "$doc/grafana/strowger.json" <docs/grafana/strowger.json
  for page in docs/reference/*.md docs/reference/*.json; do
    [ -e "$page" ] || continue
    put "$doc/reference/$(basename "$page")" <"$page"
  done

  # The program knows its own commands: completions and man pages are what it says.
  "$binary" completions bash | put "$PREFIX/share/bash-completion/completions/strowger"
  "$binary" completions zsh | put "$(zsh_directory)/_strowger"
  "$binary" completions fish | put "$PREFIX/share/fish/vendor_completions.d/strowger.fish"
  mkdir -p "$DESTDIR$man"
  "$binary" man "$DESTDIR$man"
  chmod 644 "$DESTDIR$man"/strowger*.1

  [ -z "$DESTDIR" ] || return 0
  if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers "$PREFIX/lib/sysusers.d/strowger.conf"
    systemd-tmpfiles --create "$PREFIX/lib/tmpfiles.d/strowger.conf"
  else
    echo "install: there is no systemd-sysusers here: make the user and group strowger yourself"
  fi
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    echo "install: done; \`systemctl enable --now strowger' starts the switch"
  fi
}

uninstall_all() {
  if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemctl --quiet is-active strowger.service && systemctl stop strowger.service
    systemctl --quiet is-enabled strowger.service 2>/dev/null && systemctl --quiet disable strowger.service
  fi
  rm -f "$DESTDIR$bin/strowger" "$DESTDIR$units/strowger.service" "$DESTDIR$PREFIX/lib/sysusers.d/strowger.conf" \
    "$DESTDIR$PREFIX/lib/tmpfiles.d/strowger.conf" "$DESTDIR$PREFIX/share/bash-completion/completions/strowger" \
    "$DESTDIR$(zsh_directory)/_strowger" "$DESTDIR$PREFIX/share/fish/vendor_completions.d/strowger.fish" \
    "$DESTDIR$man"/strowger.1 "$DESTDIR$man"/strowger-*.1
  rm -rf "${DESTDIR:?}$doc" 2>/dev/null || rm -rf "$doc"
  # Directories that only the switch had.
  for directory in "$bin" "$units" "$PREFIX/lib/systemd" "$PREFIX/lib/sysusers.d" "$PREFIX/lib/tmpfiles.d" \
    "$PREFIX/share/bash-completion/completions" "$PREFIX/share/bash-completion" "$(zsh_directory)" "$PREFIX/share/zsh" \
    "$PREFIX/share/fish/vendor_completions.d" "$PREFIX/share/fish" "$man" "$PREFIX/share/man"; do
    case $directory in
      "$PREFIX"/*) [ -z "$DESTDIR" ] || rmdir "$DESTDIR$directory" 2>/dev/null || true ;;
    esac
  done
  if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
  fi
  echo "uninstall: $config and /var/lib/strowger stay, and the user strowger; remove them if nobody needs them"
}

case ${1-} in
  install) install_all "${2:?which program?}" ;;
  uninstall) uninstall_all ;;
  *) fail "say install BINARY or uninstall" ;;
esac
