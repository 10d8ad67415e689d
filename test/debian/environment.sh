# shellcheck shell=bash
# Sourced. Where the Debian roots of the tests live, and which release of OpenStack each suite has.
set -euo pipefail

ROOTS=${CINDERFS_ROOTS:-/srv/cinderfs-roots}
CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { echo "${0##*/}: $*" >&2; }

die() {
  say "$@"
  exit 1
}

need_root() { [[ $EUID == 0 ]] || die 'must run as root: it makes a root file system and namespaces'; }
