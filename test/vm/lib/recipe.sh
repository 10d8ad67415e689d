# Sourced. What is in the VM's image: the cache key is a hash of this file and of the scripts that build from it.

# What this machine needs to build and boot the image.
HOST_PACKAGES='qemu-system-x86 mmdebstrap e2fsprogs cpio python3-minimal zstd'

# What the guest has: udev and the usual tools; a target and an initiator for each protocol; os-brick; FUSE; Node's needs.
GUEST_PACKAGES='kmod udev dbus dmidecode iproute2 procps util-linux mount psmisc e2fsprogs attr
  open-iscsi multipath-tools kpartx sg3-utils lsscsi nvme-cli lvm2 dmsetup fcoe-utils
  nfs-kernel-server nfs-common python3-os-brick qemu-utils
  fuse3 libstdc++6 libatomic1 strace jq ca-certificates'

# Left out of the guest's modules: nothing a storage test wants is in them.
DROPPED_MODULES='drivers/gpu drivers/media drivers/net/wireless sound drivers/staging
  drivers/infiniband/hw drivers/input drivers/hid drivers/iio drivers/usb drivers/video drivers/platform
  drivers/hwmon drivers/i2c drivers/bluetooth net/bluetooth net/mac80211 net/wireless drivers/thunderbolt
  drivers/edac drivers/mmc drivers/mtd drivers/isdn drivers/leds drivers/comedi drivers/crypto drivers/accel
  drivers/rtc'

# What the initramfs must load before it sees the root disk and the shared directories.
BOOT_MODULES='virtio_mmio virtio_pci virtio_blk 9pnet_virtio 9p virtio_console ext4 crc32c_generic'
