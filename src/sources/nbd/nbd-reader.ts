/** Reads an image over NBD. */
import type { NbdExport } from './nbd-export.js';
import type { CachedReaderOptions } from '../cached/cached-reader.js';
import { cachedReader } from '../cached/cached-reader.js';
import { NbdClient } from '../../nbd/client.js';
import type { NbdClientOptions } from '../../nbd/client.js';
import { seekInExtents } from '../../nbd/seek.js';
import type { SourceReader } from '../contract/reader.js';

export interface NbdReaderOptions extends NbdClientOptions, CachedReaderOptions {}

/** Connects to `source`; `read_failed` when it is not there or shorter than the image. */
export async function openNbdReader(source: NbdExport, options: NbdReaderOptions): Promise<SourceReader> {
  const client = await NbdClient.open(source, options);
  const { size = 0, minimumBlock: alignment = 1 } = client.export ?? {};
  const remote = {
    size,
    alignment,
    get broken() {
      return client.broken;
    },
    read: (offset: number, buffers: readonly Buffer[]) => client.read(offset, buffers),
    seek: (offset: number, whence: 'data' | 'hole') =>
      seekInExtents(client, { offset, whence, end: options.size, alignment }),
    close: () => client.close(),
  };
  return cachedReader(remote, options);
}
