# shellcheck shell=bash
# NFS: a loop-mounted ext4, served by nfs-ganesha in user space; "mounting" it on this machine is a bind mount.

# The export is a file system of its own: glance_store asks os.path.ismount(), which does not see a bind mount of a
# directory of the same file system.
prepare_nfs() {
  local disk=$VAR/nfs.img dir=$VAR/nfs
  mkdir -p "$dir"
  if ! mountpoint -q "$dir"; then
    if [[ ! -s $disk ]]; then
      truncate -s 30G "$disk.new"
      mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1,lazy_journal_init=1 "$disk.new"
      mv "$disk.new" "$disk"
    fi
    mount -o loop "$disk" "$dir"
  fi
  chmod 777 "$dir"
  divert_mount_nfs
}

start_rpcbind() {
  mkdir -p /run/rpcbind
  install -D -m 755 "$LAB/python/rpcbind_loopback.py" "$STATE/python/rpcbind_loopback.py"
  listening 111 || daemon rpcbind /usr/bin/python3 "$STATE/python/rpcbind_loopback.py"
  await 10 rpcbind listening 111
}

start_ganesha() {
  mkdir -p /run/ganesha "$VAR/ganesha"
  [[ -e /etc/mtab ]] || ln -s /proc/self/mounts /etc/mtab # ganesha reads it; minimal systems have none
  render ganesha.conf "$ETC/ganesha.conf"
  sed -i "s|@plugins@|$(echo /usr/lib/*-linux-gnu/ganesha)|" "$ETC/ganesha.conf"
  # ganesha 6 (Debian 13) ends without CAP_SYS_RESOURCE unless told not to; ganesha 4 (Debian 12) does not know the option
  grep -qai allow_set_io_flusher_fail /usr/lib/ganesha/libganesha_nfsd.so* || sed -i '/allow_set_io_flusher_fail/d' "$ETC/ganesha.conf"
  CONFIG=$ETC/ganesha.conf daemon ganesha ganesha.nfsd -F -L "$LOG/ganesha.log" -f "$ETC/ganesha.conf" -p "$RUN/ganesha.own.pid"
  # it listens before its export is ready, or even valid
  await 60 ganesha nfs-ls "nfs://127.0.0.1$VAR/nfs"
}

# Not every kernel has an NFS client. mount(8) calls /sbin/mount.nfs without asking the kernel, so a shim there lets
# os-brick and glance_store run unmodified.
divert_mount_nfs() {
  if [[ ! -e /sbin/mount.nfs.distrib ]]; then
    dpkg-divert --quiet --local --no-rename --divert /usr/sbin/mount.nfs.distrib --add /sbin/mount.nfs
    mv /sbin/mount.nfs /sbin/mount.nfs.distrib
  fi
  install -m 755 "$LAB/lib/mount.nfs" /sbin/mount.nfs
}

# What "mount -t nfs" left behind, the real mount.nfs, and the export itself.
clear_nfs() {
  if [[ -e /sbin/mount.nfs.distrib ]]; then
    mv -f /sbin/mount.nfs.distrib /sbin/mount.nfs
    dpkg-divert --quiet --local --no-rename --remove /sbin/mount.nfs
  fi
  local dir
  awk -v var="$VAR/" 'index($2, var) == 1 {print $2}' /proc/mounts | sort -r | while read -r dir; do
    umount "$dir" || umount --lazy "$dir" # lazily when a reader still holds it
  done
}
