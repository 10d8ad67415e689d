import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ImageFile } from '../../../src/daemon/image-file.js';
import { createImageFs } from '../../../src/fs/create-image-fs.js';
import { ROOT_NODE } from '../../../src/fs/contract/filesystem.js';
import { FakeCatalog, fakeImage } from '../../fakes/fs-catalog.js';
import { FakePool } from '../../fakes/fs-pool.js';
import { ManualClock } from '../../fakes/manual-clock.js';
import { temporaryFolder } from '../../support/temporary.js';
import { attemptLater, watchedLog, type Target } from '../target.js';

const images = [
  fakeImage({ id: 'aaaaaaaa-0000-4000-8000-000000000001', name: 'debian/12' }),
  fakeImage({ id: 'bbbbbbbb-0000-4000-8000-000000000002', name: 'debian/12', locations: ['v'] }),
];

/** images.json, as the engine that comes after reads it: up to a file system that shows what it lists. */
export const imageList: Target = {
  name: 'image-list',
  seeds: [
    Buffer.from(JSON.stringify({ generation: 3, at: 1_700_000_000_000, images })),
    Buffer.from(JSON.stringify({ generation: 0, at: 0, images: [] })),
  ],
  words: ['"images":', '"id":', '"updatedAt":', 'null', '"../x"', '1e999'],
  async open(undo) {
    const folder = await temporaryFolder(undo);
    const file = path.join(folder, 'images.json');
    const clock = new ManualClock();
    return async (input) => {
      writeFileSync(file, input);
      const { log, check } = watchedLog();
      const snapshot = new ImageFile(file, { ...log, warn: () => undefined }).read();
      if (snapshot === undefined) return;
      const catalog = new FakeCatalog([]);
      catalog.snapshot = snapshot;
      const pool = new FakePool(() => ({ kind: 'file', path: '/nonexistent' }));
      const filesystem = createImageFs({ catalog, pool, clock, log, status: () => '{}' });
      const entries = (await attemptLater(() => filesystem.readdir(ROOT_NODE))) ?? [];
      for (const { name, attributes } of entries.slice(0, 20)) {
        if (/[/\0]/.test(name) || name.length > 255) throw new Error(`a file called ${JSON.stringify(name)}`);
        const { size, modifiedMs, node } = attributes;
        if (
          !Number.isFinite(modifiedMs) ||
          ![size, node].every((number) => Number.isSafeInteger(number) && number >= 0)
        )
          throw new Error(`attributes that are no numbers: ${JSON.stringify(attributes)}`);
        const opened = await attemptLater(() => filesystem.open(node, 0));
        if (opened !== undefined) filesystem.release(opened.handle);
        for (const attribute of await filesystem.listxattr(node))
          await attemptLater(() => filesystem.getxattr(node, attribute));
      }
      filesystem.close();
      check();
    };
  },
};
