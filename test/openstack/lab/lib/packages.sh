# shellcheck shell=bash
# The Debian 12 packages the lab is made of.

PACKAGES=(
  # control plane
  keystone glance-api cinder-api cinder-scheduler cinder-volume rabbitmq-server mariadb-server python3-pymysql
  uwsgi-core uwsgi-plugin-python3 python3-openstackclient python3-cinderclient
  # back ends: Ceph, user-space NFS and iSCSI servers
  ceph-mon ceph-mgr ceph-osd ceph-common python3-rbd python3-rados
  nfs-ganesha nfs-ganesha-vfs nfs-common rpcbind tgt
  # clients that need no kernel driver
  qemu-utils qemu-system-common qemu-block-extra rbd-fuse libnfs-utils libiscsi-bin
  # what the lab's own scripts call
  curl jq sudo uuid-runtime procps e2fsprogs
)

missing_packages() {
  # dpkg-query fails when it does not know one of them
  { dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${PACKAGES[@]}" 2>/dev/null || true; } |
    awk '$1 == "installed" {print $2}' | sort | comm -13 - <(printf '%s\n' "${PACKAGES[@]}" | sort) | xargs
}

# Installs what is missing. A policy-rc.d of our own, where there is none, keeps the packages from starting daemons.
install_packages() {
  local missing policy=/usr/sbin/policy-rc.d log=$LOG/apt.log
  missing=$(missing_packages)
  [[ $missing ]] || return 0
  if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q -o DPkg::Lock::Timeout=900 >>"$log" 2>&1 || die "apt-get update failed: $(tail -3 "$log")"
  # shellcheck disable=SC2086  # the list is words
  apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=900 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold $missing >>"$log" 2>&1 </dev/null ||
    die "apt-get install failed, see $log: $(tail -3 "$log")"
  if [[ $(trap -p EXIT) ]]; then
    rm -f $policy
    trap - EXIT
  fi
}
