# shellcheck shell=bash
# Where the lab keeps its state and what its programs see of the environment. Every command sources this first.
set -euo pipefail

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STATE=${CINDERFS_LAB_DIR:-/srv/cinderfs-lab}
# shellcheck disable=SC2034  # the rooms read them
ETC=$STATE/etc VAR=$STATE/var LOG=$STATE/log RUN=$STATE/run

# Debian's Python must win over pyenv and the like: OpenStack is installed for it and for no other.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C.UTF-8 LANG=C.UTF-8 HOME=/root PYTHONDONTWRITEBYTECODE=1
export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
for name in "${!OS_@}"; do unset "$name"; done

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

need_root() {
  [[ $EUID == 0 ]] || die "must run as root: it mounts a loop device and starts Ceph, NFS and iSCSI servers. Use: sudo ${LAB}/${0##*/}"
}

# Two commands that change the lab wait for one another. Descriptor 8: daemons must not inherit it (daemon.sh closes it).
lock_lab() {
  mkdir -p /run/lock
  exec 8>/run/lock/cinderfs-lab
  flock 8
}

# step NAME COMMAND...: run it, say how long it took
step() {
  local name=$1 begin=${EPOCHREALTIME/./}
  shift
  "$@"
  local took=$((${EPOCHREALTIME/./} - begin))
  printf '%-20s %3d.%d s\n' "$name" $((took / 1000000)) $((took / 100000 % 10))
}

# render TEMPLATE TARGET: a file of lab/etc with @state@ filled in
render() {
  mkdir -p "$(dirname "$2")"
  sed "s|@state@|$STATE|g" "$LAB/etc/$1" >"$2"
}

python() { /usr/bin/python3 "$LAB/python/$1.py" "${@:2}"; }
