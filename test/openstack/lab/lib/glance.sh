# shellcheck shell=bash
# Glance, whose stores keep images in Cinder volumes of types nfs, rbd, rbd-multi and iscsi.

prepare_glance() {
  local etc=$ETC/glance
  render glance-api.conf "$etc/glance-api.conf"
  render rootwrap.conf "$etc/rootwrap.conf"
  mkdir -p "$VAR"/glance/{images,staging,tasks,cache,lock,mnt} "$etc/rootwrap.d"
  cp "$LAB/etc/rootwrap.filters" "$etc/rootwrap.d/lab.filters"
  mend_glance_store
  [[ -e $VAR/glance/prepared ]] && return
  glance-manage --config-file "$etc/glance-api.conf" db_sync >>"$LOG/prepare.log" 2>&1 ||
    die "Glance's database could not be made, see $LOG/prepare.log"
  touch "$VAR/glance/prepared"
}

# glance_store looks up the address of its own host name, which in a container may have none: so its name is localhost.
start_glance_api() {
  CONFIG=$ETC/glance/glance-api.conf daemon glance-api \
    unshare --uts sh -c 'echo localhost >/proc/sys/kernel/hostname && exec "$@"' sh \
    env PYTHONPATH="$STATE/python/overlay" glance-api --config-file "$ETC/glance/glance-api.conf"
  await 120 glance-api curl -s -o /dev/null http://127.0.0.1:9292/healthcheck
}

# glance_store 4.1 opens the volume with 'wb'. On NFS the volume is a regular file, so that truncates it, and then waits
# for it to be 1 GiB: no upload to NFS can work (Launchpad #2000584). A copy that says 'rb+' comes first on PYTHONPATH.
mend_glance_store() {
  local original=/usr/lib/python3/dist-packages/glance_store overlay=$STATE/python/overlay
  local driver=_drivers/cinder.py # Zed; a package in 2025.1
  [[ -e $original/$driver ]] || driver=_drivers/cinder/store.py
  [[ $overlay/mended -nt $original/$driver ]] && return
  driver=$overlay/glance_store/$driver
  rm -rf "$overlay"
  mkdir -p "$overlay"
  cp -r "$original" "$overlay/"
  sed -i "s/_open_cinder_volume(client, volume, 'wb')/_open_cinder_volume(client, volume, 'rb+')/
          s/attach_mode = 'rw' if mode == 'wb' else 'ro'/attach_mode = 'rw' if mode == 'rb+' else 'ro'/" "$driver"
  [[ $(grep -c "'rb+'" "$driver") -ge 2 && ! $(grep "'wb'" "$driver") ]] ||
    die "glance_store is not the version this lab knows how to mend: $original"
  touch "$overlay/mended"
}
