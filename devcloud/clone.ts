import type { Cloud, Volume } from './model.js';
import { copySparse, GIB, writeSparse } from './volume-file.js';

/** Gives a `creating` volume its bytes (those of `source`, or zeros) and then makes it available, or error. */
export async function cloneVolume(cloud: Cloud, source: Volume | undefined, volume: Volume): Promise<void> {
  const length = volume.sizeGib * GIB;
  try {
    if (source === undefined) await writeSparse(volume.path, length);
    else await copySparse(source.path, volume.path, length);
    volume.status = 'available';
  } catch {
    volume.status = 'error'; // as Cinder: the request was accepted, the volume tells how it went
  }
  volume.updatedAt = Date.now();
  cloud.touch();
}
