import { networkInterfaces } from 'node:os';

/** The address other hosts reach this one by, as far as it can be guessed: the first IPv4 that is not loopback, else IPv6. */
export function hostAddress(interfaces = networkInterfaces()): string {
  const addresses = Object.values(interfaces)
    .flatMap((list) => list ?? [])
    .filter((address) => !address.internal && !address.address.startsWith('fe80:'));
  const best = addresses.find((address) => address.family === 'IPv4') ?? addresses[0];
  return best?.address ?? '127.0.0.1';
}
