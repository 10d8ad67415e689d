# shellcheck shell=bash
# tgtd, the iSCSI target in user space. Cinder writes one file per target and calls tgt-admin.

start_tgtd() {
  mkdir -p /etc/tgt/conf.d /run/tgtd
  echo "include $VAR/cinder/volumes/*" >/etc/tgt/conf.d/cinderfs-lab.conf
  local fresh
  alive tgtd || fresh=1
  daemon tgtd tgtd -f --iscsi portal=127.0.0.1:3260
  await 15 tgtd tgtadm --lld iscsi --op show --mode target
  # the targets of volumes that were attached when the last tgtd ended
  [[ ! ${fresh:-} ]] || tgt-admin --update ALL >>"$LOG/tgtd.log" 2>&1 || true
}

clear_iscsi() { rm -f /etc/tgt/conf.d/cinderfs-lab.conf; }
