# shellcheck shell=bash
# A Ceph cluster of one monitor, one manager and one OSD on a plain file, with the pool "volumes".

export CEPH_CONF=$ETC/ceph/ceph.conf

prepare_ceph() {
  mkdir -p "$ETC/ceph" "$VAR/ceph" /etc/ceph
  render ceph.conf "$CEPH_CONF"
  # os-brick reads /etc/ceph/ceph.client.<user>.keyring, a fixed path: the key is not in connection_info (OSSN-0085)
  ln -sfn "$CEPH_CONF" /etc/ceph/ceph.conf
  ln -sfn "$ETC/ceph/ceph.client.cinder.keyring" /etc/ceph/ceph.client.cinder.keyring
  [[ -e $VAR/ceph/mon.a/prepared ]] || make_monitor >>"$LOG/prepare.log" 2>&1
}

start_ceph_mon() {
  CONFIG=$CEPH_CONF daemon ceph-mon env -C / ceph-mon -c "$CEPH_CONF" -f -i a
  await 60 ceph-mon timeout 5 ceph -s
}

# Cinder asks "ceph df", which only a manager answers.
start_ceph_mgr() {
  local data=$VAR/ceph/mgr.x
  if [[ ! -s $data/keyring ]]; then
    mkdir -p "$data"
    ceph auth get-or-create mgr.x mon 'allow profile mgr' osd 'allow *' mds 'allow *' -o "$data/keyring"
  fi
  CONFIG=$CEPH_CONF daemon ceph-mgr env -C / ceph-mgr -c "$CEPH_CONF" -f -i x
}

start_ceph_osd() {
  [[ -e $VAR/ceph/osd.0/prepared ]] || make_osd >>"$LOG/prepare.log" 2>&1
  CONFIG=$CEPH_CONF daemon ceph-osd env -C / ceph-osd -c "$CEPH_CONF" -f -i 0
  await 120 ceph-osd osd_is_up
}

# The pool and Cinder's key, once the OSD is up; then the manager has to have counted its space.
create_pool() {
  if [[ ! -e $VAR/ceph/pool ]]; then
    ceph osd pool create volumes 16
    ceph osd pool set volumes size 1 --yes-i-really-mean-it
    rbd pool init volumes
    ceph auth get-or-create client.cinder mon 'profile rbd' osd 'profile rbd pool=volumes' mgr 'profile rbd pool=volumes' \
      -o "$ETC/ceph/ceph.client.cinder.keyring"
    touch "$VAR/ceph/pool"
  fi >>"$LOG/prepare.log" 2>&1
  await 120 ceph-mgr space_is_known
}

clear_ceph() {
  local link
  for link in /etc/ceph/ceph.conf /etc/ceph/ceph.client.cinder.keyring; do
    [[ $(readlink "$link") != "$STATE"/* ]] || rm -f "$link"
  done
}

make_monitor() {
  local data=$VAR/ceph keys=$ETC/ceph
  rm -rf "$data/mon.a"
  mkdir -p "$data/mon.a"
  ceph-authtool --create-keyring "$keys/ceph.mon.keyring" --gen-key -n mon. --cap mon 'allow *'
  ceph-authtool --create-keyring "$keys/ceph.client.admin.keyring" --gen-key -n client.admin \
    --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' --cap mds 'allow *'
  ceph-authtool "$keys/ceph.mon.keyring" --import-keyring "$keys/ceph.client.admin.keyring"
  monmaptool --create --clobber --fsid "$(ceph-conf --lookup fsid)" \
    --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' "$data/monmap"
  ceph-mon -c "$CEPH_CONF" --mkfs -i a --monmap "$data/monmap" --keyring "$keys/ceph.mon.keyring"
  touch "$data/mon.a/prepared"
}

make_osd() {
  local data=$VAR/ceph/osd.0 uuid
  uuid=$(uuidgen)
  rm -rf "$data"
  mkdir -p "$data"
  ceph-authtool --create-keyring "$data/keyring" --gen-key -n osd.0
  echo "{\"cephx_secret\": \"$(ceph-authtool -p -n osd.0 "$data/keyring")\"}" | ceph osd new "$uuid" 0 -i -
  ceph-osd -c "$CEPH_CONF" -i 0 --mkfs --osd-uuid "$uuid"
  touch "$data/prepared"
}

osd_is_up() { ceph osd stat | grep -q '1 up'; }

space_is_known() { ceph df -f json | jq -e '.stats.total_bytes > 0'; }
