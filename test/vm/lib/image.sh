# Sourced by vm. Builds the guest's kernel and root file system from Debian packages, once per recipe.
#   image_ready    makes sure they are in the cache and sets IMAGE (a directory: vmlinux, root.ext4, m/, busybox)
#   initrd_ready   makes sure the initramfs is, and sets INITRD

: "${CINDERFS_VM_CACHE:=/var/cache/cinderfs-vm}" "${CINDERFS_VM_SUITE:=bookworm}"
. "$VM_DIR/lib/recipe.sh"

say() { printf 'vm: %s\n' "$*" >&2; }
# 125 is the status of a VM that could not be started, as env(1) and timeout(1) have it.
die() { say "$*"; exit 125; }

# One hash over the files named and the words that follow `--`.
hash_of() {
  local files=()
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  { cat "${files[@]}"; printf '%s\n' "$@"; } | sha256sum | cut -c1-12
}

image_ready() {
  mkdir -p "$CINDERFS_VM_CACHE" || die "cannot make $CINDERFS_VM_CACHE (set CINDERFS_VM_CACHE)"
  IMAGE=$CINDERFS_VM_CACHE/$CINDERFS_VM_SUITE-$(
    hash_of "$VM_DIR"/lib/{recipe.sh,image.sh,unpack-kernel} -- "$CINDERFS_VM_SUITE")
  exec 9>"$CINDERFS_VM_CACHE/.lock"
  flock 9
  if [ ! -e "$IMAGE/root.ext4" ]; then build_image "$IMAGE" 9>&-; fi
  initrd_ready 9>&-
  exec 9>&-
}

# The guest's two scripts change more often than its packages: the initramfs (6 MB) has a key of its own.
initrd_ready() {
  INITRD=$IMAGE/initrd-$(hash_of "$VM_DIR"/guest/{initramfs-init,init} --).cpio
  [ -e "$INITRD" ] && return
  rm -f "$IMAGE"/initrd-*.cpio
  local tree=$IMAGE/initrd.tmp
  rm -rf "$tree"
  mkdir -p "$tree"/{bin,m,dev,sys,root}
  cp "$IMAGE/busybox" "$tree/bin/busybox"
  cp "$IMAGE"/m/* "$tree/m/"
  install -m 755 "$VM_DIR/guest/initramfs-init" "$tree/init"
  install -m 755 "$VM_DIR/guest/init" "$tree/vm-init"
  (cd "$tree" && find . -mindepth 1 | LC_ALL=C sort | cpio -o -H newc --quiet) >"$INITRD.tmp" || die 'cpio failed'
  mv "$INITRD.tmp" "$INITRD"
  rm -rf "$tree"
}

build_image() {
  local image=$1 build=$1.build started=$SECONDS
  [ "$(id -u)" = 0 ] || die 'the image is built as root'
  say "building the $CINDERFS_VM_SUITE image in $image (once; a minute or two)"
  find "$CINDERFS_VM_CACHE" -mindepth 1 -maxdepth 1 -name "$CINDERFS_VM_SUITE-*" -exec rm -rf {} +
  mkdir -p "$build"
  install_guest "$build/root"
  local version
  version=$(ls "$build/root/usr/lib/modules")
  local dropped
  for dropped in $DROPPED_MODULES; do rm -rf "$build/root/usr/lib/modules/$version/kernel/$dropped"; done
  chroot "$build/root" depmod -a "$version" || die 'depmod failed'
  # shellcheck disable=SC2086 # a list of names
  python3 "$VM_DIR/lib/unpack-kernel" "$build/root" "$version" "$build" $BOOT_MODULES || die 'cannot unpack the kernel'
  cp "$build/root/usr/bin/busybox" "$build/busybox"
  settle_guest "$build/root"
  make_disk "$build/root" "$build/root.ext4"
  rm -rf "$build/root"
  mv "$build" "$image"
  say "built in $((SECONDS - started)) s: $(du -sh "$image" | cut -f1), kernel $version"
}

# Debian's own sources of this machine, so that its mirror and proxy settings hold for the guest too.
debian_sources() {
  apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' \
    'Identifier: Packages' 'Origin: Debian' 'Component: main' | grep -E " $CINDERFS_VM_SUITE(-|/| )" | sort -u
}

# The kernel's package is unpacked, not installed: no initramfs-tools and no update-initramfs (two minutes less).
KERNEL_HOOK='chroot "$1" sh -ec "cd /tmp
  kernel=\$(apt-cache depends linux-image-amd64 | sed -n s/.*Depends:.//p | grep ^linux-image | head -n 1)
  apt-get download -q \$kernel busybox-static
  mkdir x; for deb in *.deb; do dpkg-deb -x \$deb x; done
  test -e x/lib/modules && mv x/lib/modules /usr/lib/ || mv x/usr/lib/modules /usr/lib/
  mv x/boot/* /boot/
  mv x/bin/busybox /usr/bin/busybox 2>/dev/null || mv x/usr/bin/busybox /usr/bin/busybox
  rm -rf x *.deb"'

install_guest() {
  local root=$1 sources source list=()
  sources=$(debian_sources)
  [ -n "$sources" ] || die "apt knows no Debian $CINDERFS_VM_SUITE here; add its sources, or set CINDERFS_VM_SUITE"
  while read -r source; do list+=("$source"); done <<<"$sources"
  mmdebstrap --quiet --mode=root --variant=apt \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt=force-unsafe-io \
    --include="$(tr -s ' \n' , <<<"$GUEST_PACKAGES" | sed 's/,$//')" \
    --customize-hook="$KERNEL_HOOK" \
    "$CINDERFS_VM_SUITE" "$root" "${list[@]}" >&2 || die 'mmdebstrap failed (above)'
}

# Fixed identities, so that a run can be compared with another; and nothing that only apt needs.
settle_guest() {
  local root=$1
  rm -rf "$root"/boot/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root/usr/include"
  find "$root/dev" -mindepth 1 -delete 2>/dev/null
  echo 'InitiatorName=iqn.1993-08.org.debian:01:cinderfsvm01' >"$root/etc/iscsi/initiatorname.iscsi"
  echo 2b1d2b1d2b1d2b1d2b1d2b1d2b1d2b1d >"$root/etc/machine-id"
  echo guest >"$root/etc/hostname"
  echo '127.0.0.1 localhost guest' >"$root/etc/hosts"
  ln -sf /proc/mounts "$root/etc/mtab"
  rm -f "$root/etc/resolv.conf"
}

make_disk() {
  local root=$1 disk=$2 mib
  mib=$(($(du -sm --apparent-size "$root" | cut -f1) * 14 / 10 + 4096))
  mke2fs -q -t ext4 -d "$root" -O ^has_journal,^metadata_csum -E lazy_itable_init=1,nodiscard -m 0 -L vmroot \
    "$disk" ${mib}M >/dev/null || die 'mke2fs failed'
}
