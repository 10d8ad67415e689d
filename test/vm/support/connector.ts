import { spawn } from 'node:child_process';
import { access, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { BrickConnector, type BrickOptions } from '../../../src/attach/connectors/brick/brick-connector.js';
import { eventually } from '../../support/eventually.js';

const BRICK = fileURLToPath(new URL('../../../../bin/cinderfs-brick', import.meta.url));
/** Not compiled, so not next to this file. */
const QUICK_BRICK = fileURLToPath(new URL('../../../../test/vm/support/quick-brick', import.meta.url));
const SOCKET = '/run/quick-brick.sock';
export const NOVA_LOCKS = '/run/nova-locks';
export const GLANCE_LOCKS = '/run/glance-locks';

/** A brick connector of this guest, whose cinderfs-brick is loaded once. It ends with this process. */
export async function startConnector(options: Partial<BrickOptions> = {}): Promise<BrickConnector> {
  await mkdir(NOVA_LOCKS, { recursive: true });
  await mkdir(GLANCE_LOCKS, { recursive: true });
  const server = spawn(QUICK_BRICK, ['--serve', BRICK], { stdio: ['ignore', 'inherit', 'inherit'] });
  process.on('exit', () => server.kill('SIGKILL'));
  server.unref();
  await eventually(
    'quick-brick is loaded',
    () =>
      access(SOCKET).then(
        () => true as const,
        () => undefined,
      ),
    180_000,
  );
  return new BrickConnector({
    directory: '/run/cinderfs/brick',
    host: 'guest',
    ip: '127.0.0.1',
    multipath: false,
    enforceMultipath: false,
    lockDirectories: [NOVA_LOCKS, GLANCE_LOCKS],
    wildcardScan: false,
    // udev is emulated too: its links come late.
    scanAttempts: 20,
    stepMs: 120_000,
    program: QUICK_BRICK,
    ...options,
  });
}
