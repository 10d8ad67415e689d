# shellcheck shell=bash
# Cinder: API, scheduler and one volume service with the back ends nfs, rbd and iscsi.

prepare_cinder() {
  local etc=$ETC/cinder
  render cinder.conf "$etc/cinder.conf"
  echo "127.0.0.1:$VAR/nfs" >"$etc/nfs_shares"
  mkdir -p "$VAR"/cinder/{volumes,mnt,mnt-qcow2,lock,conversion,files}
  # cinder-volume loads the driver from here, so that a running lab does not depend on this checkout
  cp -r "$LAB/python/labdrivers" "$STATE/python/"
  [[ -e $VAR/cinder/prepared ]] && return
  cinder-manage --config-file "$etc/cinder.conf" db sync >>"$LOG/prepare.log" 2>&1 ||
    die "Cinder's database could not be made, see $LOG/prepare.log"
  touch "$VAR/cinder/prepared"
}

start_cinder_api() {
  CONFIG=$ETC/cinder/cinder.conf uwsgi_daemon cinder-api 8776 --wsgi-file /usr/bin/cinder-wsgi \
    --pyargv "--config-file $ETC/cinder/cinder.conf --log-file $LOG/cinder-api.log" --processes 2 --threads 8
  await 120 cinder-api curl -s -o /dev/null http://127.0.0.1:8776/
}

start_cinder_scheduler() { cinder_service scheduler; }

start_cinder_volume() { cinder_service volume; }

cinder_service() {
  CONFIG="$ETC/cinder/cinder.conf $STATE/python/labdrivers/filetgt.py" daemon "cinder-$1" \
    env PYTHONPATH="$STATE/python" "cinder-$1" --config-file "$ETC/cinder/cinder.conf" --log-file "$LOG/cinder-$1.log"
}
