/** `MAJOR:MINOR` of an st_rdev, by glibc's split: as sysfs and mountinfo name a device. */
export function deviceNumber(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

/** The directory of a block device in sysfs. */
export function sysfsOf(rdev: bigint): string {
  return `/sys/dev/block/${deviceNumber(rdev)}`;
}
