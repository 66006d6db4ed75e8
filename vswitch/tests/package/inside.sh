#!/bin/bash
# What is done to the package inside a machine of its own: systemd runs there as on any other. Each step writes one
# line to /t/results: `ok NAME` or `FAIL NAME`; what it said is in /t/log.
set -u
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
exec >>/t/log 2>&1 </dev/null

step() {
  local name=$1
  shift
  echo "== $name"
  if (set -e; "$@"); then echo "ok $name" >>/t/results; else echo "FAIL $name" >>/t/results; fi
}

# Asks until it is so: a second is a hundred times what it takes on an idle machine.
until_it_is_so() {
  local tries
  for tries in $(seq 600); do
    if "$@" >/t/last 2>&1; then return 0; fi
    sleep 0.2
  done
  echo "never: $*"
  cat /t/last
  return 1
}

same() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
shows() { systemctl show strowger -P "$1"; }
of_process() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(shows MainPID)/status"; }
forwards() { python3 /t/frames.py "$@"; }

begin() {
  # Whatever the machine below has of it.
  dpkg --purge strowger || true
  userdel strowger || true
  rm -rf /etc/strowger /var/lib/strowger /usr/local/lib/systemd/system/strowger.service
  systemctl daemon-reload
}

installs() {
  dpkg -i /t/strowger.deb
  same "$(dpkg-query -W -f '${db:Status-Status}' strowger)" installed
  dpkg -V strowger
}

user_is_there() {
  getent passwd strowger
  same "$(getent passwd strowger | cut -d: -f6,7)" "/var/lib/strowger:/usr/sbin/nologin"
  [ "$(id -u strowger)" -lt 1000 ]
  same "$(stat -c '%U:%G %a' /var/lib/strowger)" "strowger:strowger 700"
}

pages_and_completions_are_there() {
  zcat /usr/share/man/man1/strowger.1.gz | grep -q '^\.TH'
  bash -c '. /usr/share/bash-completion/completions/strowger && complete -p strowger'
  grep -q '^#compdef strowger' /usr/share/zsh/vendor-completions/_strowger
  grep -q 'complete -c strowger' /usr/share/fish/vendor_completions.d/strowger.fish
  strowger config check /usr/share/doc/strowger/example.toml
  strowger config check /etc/strowger/strowger.toml
}

unit_is_right() {
  # It says nothing if nothing is wrong.
  local said
  said=$(systemd-analyze verify --man=no /lib/systemd/system/strowger.service 2>&1 | grep -i strowger || true)
  same "$said" ""
}

unit_is_tight() {
  # In tenths: what is left are the two capabilities, the sockets of the network, and /proc/sys for dev ports.
  systemd-analyze security --no-pager --threshold=20 strowger.service
}

runs_as_a_service() {
  systemctl is-enabled strowger
  until_it_is_so systemctl is-active strowger
  same "$(shows Type)" notify
  same "$(shows StatusText)" "forwarding: 1 bridge, 0 ports, 1 worker"
  strowger status
  same "$(stat -c '%U %a' /run/strowger)" "strowger 755"
  same "$(stat -c '%U %a' /run/strowger/control.sock)" "strowger 600"
}

has_its_capabilities_and_no_more() {
  local uid
  uid=$(id -u strowger)
  same "$(of_process Uid | tr '\t' ' ')" "$uid $uid $uid $uid"
  # CAP_NET_ADMIN is 12, CAP_NET_RAW is 13.
  for set in CapEff CapPrm CapBnd CapAmb; do
    same "$set $(of_process $set)" "$set 0000000000003000"
  done
  same "$(of_process NoNewPrivs)" 1
  same "$(of_process Seccomp)" 2
}

log_is_in_the_journal() {
  until_it_is_so grep -q ready <(journalctl -u strowger -p info -o cat)
  same "$(journalctl -u strowger -o json --output-fields=PRIORITY,MESSAGE | grep '"MESSAGE".*ready"' | grep -o '"PRIORITY":"[0-9]"' | head -1)" '"PRIORITY":"6"'
}

reload_applies_the_file() {
  local before
  before=$(shows MainPID)
  ip link add veth0 type veth peer name veth1
  ip link set veth1 up
  cat >>/etc/strowger/strowger.toml <<'END'
[ports.tapa]
bridge = "br0"
kind = "tap"
[ports.tapb]
bridge = "br0"
kind = "tap"
[ports.veth0]
bridge = "br0"
kind = "dev"
[ports.vm1]
bridge = "br0"
kind = "vhost-user"
path = "/run/strowger/vm1.sock"
END
  systemctl reload strowger
  same "$(shows MainPID)" "$before"
  ip link show tapa
  same "$(stat -c '%U:%G %a' /run/strowger/vm1.sock)" "strowger:strowger 660"
}

carries_frames_between_taps() { forwards tapa tapb; forwards tapb tapa; }
carries_frames_to_an_interface() { forwards tapa veth1; forwards veth1 tapb; }

a_wrong_file_changes_nothing() {
  cp /etc/strowger/strowger.toml /t/good.toml
  sed -i 's/^kind = "tap"$/kind = "tap"\ntag = 5000/' /etc/strowger/strowger.toml
  if systemctl reload strowger; then return 1; fi
  journalctl -u strowger -o cat | grep -q 'strowger.toml: line .*ports.tapa.tag.*5000'
  cp /t/good.toml /etc/strowger/strowger.toml
  systemctl is-active strowger
  carries_frames_between_taps
}

changes_survive_a_restart() {
  strowger bridge add br1
  systemctl restart strowger
  strowger bridge list | grep -q br1
  strowger bridge del br1
  until_it_is_so forwards tapa tapb
}

a_switch_that_hangs_is_started_anew() {
  mkdir -p /run/systemd/system/strowger.service.d
  printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/strowger.service.d/soon.conf
  systemctl daemon-reload
  systemctl restart strowger
  local before
  before=$(shows MainPID)
  kill -STOP "$before"
  until_it_is_so test "$(shows NRestarts)" -ge 1 || until_it_is_so restarted "$before"
  until_it_is_so systemctl is-active strowger
  until_it_is_so forwards tapa tapb
  rm -r /run/systemd/system/strowger.service.d
  systemctl daemon-reload
}
restarted() { [ "$(shows NRestarts)" -ge 1 ] && [ "$(shows MainPID)" != "$1" ] && [ "$(shows MainPID)" != 0 ]; }

namespaces_need_the_drop_in() {
  ip netns add blue
  if strowger port add tap:eth0@blue,bridge=br0; then return 1; fi
  mkdir -p /etc/systemd/system/strowger.service.d
  cp /usr/share/doc/strowger/namespaces.conf /etc/systemd/system/strowger.service.d/
  systemctl daemon-reload
  systemctl restart strowger
  strowger port add tap:eth0@blue,bridge=br0
  ip -n blue link show eth0
  rm -r /etc/systemd/system/strowger.service.d
  strowger port del eth0
  systemctl daemon-reload
  systemctl restart strowger
}

runs_as_nobody_without_interfaces() {
  local pid
  setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs \
    strowger run --rundir /tmp/nobody --bridge br0 --port vhost-user:vm1=/tmp/nobody/vm1.sock &
  pid=$!
  until_it_is_so strowger status --rundir /tmp/nobody
  same "$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/$pid/status)" 0000000000000000
  same "$(stat -c %U /tmp/nobody/vm1.sock)" nobody
  kill "$pid"
  wait "$pid"
}

nobody_is_told_what_a_tap_needs() {
  local said
  if said=$(setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all --bounding-set=-all \
    strowger run --rundir /tmp/nobody --bridge br0 --port tap:nope 2>&1); then return 1; fi
  echo "$said"
  echo "$said" | grep -q 'port nope'
}

goes_when_removed() {
  dpkg -r strowger
  if systemctl is-active strowger; then return 1; fi
  [ ! -e /usr/bin/strowger ] && [ ! -e /lib/systemd/system/strowger.service ]
  [ -e /etc/strowger/strowger.toml ]
  if ip link show tapa; then return 1; fi
}

leaves_nothing_when_purged() {
  dpkg -P strowger
  if getent passwd strowger || getent group strowger; then return 1; fi
  local left
  left=$(find /etc /var /usr /lib /run -xdev -name '*strowger*' -not -path '/var/log/journal/*' -not -path '/t/*')
  same "$left" ""
  same "$(dpkg-query -W -f '${db:Status-Status}' strowger 2>/dev/null || true)" ""
}

begin
step installs installs
step user_is_there user_is_there
step pages_and_completions_are_there pages_and_completions_are_there
step unit_is_right unit_is_right
step unit_is_tight unit_is_tight
step runs_as_a_service runs_as_a_service
step has_its_capabilities_and_no_more has_its_capabilities_and_no_more
step log_is_in_the_journal log_is_in_the_journal
step reload_applies_the_file reload_applies_the_file
step carries_frames_between_taps carries_frames_between_taps
step carries_frames_to_an_interface carries_frames_to_an_interface
step a_wrong_file_changes_nothing a_wrong_file_changes_nothing
step changes_survive_a_restart changes_survive_a_restart
step a_switch_that_hangs_is_started_anew a_switch_that_hangs_is_started_anew
step namespaces_need_the_drop_in namespaces_need_the_drop_in
step runs_as_nobody_without_interfaces runs_as_nobody_without_interfaces
step nobody_is_told_what_a_tap_needs nobody_is_told_what_a_tap_needs
journalctl -u strowger --no-pager -o short-monotonic | tail -200
step goes_when_removed goes_when_removed
step leaves_nothing_when_purged leaves_nothing_when_purged
echo end >>/t/results
