import { join } from 'node:path';
import { systemClock } from '../async/clock.js';
import { Slots } from '../async/slots.js';
import { brickConnector } from './brick/kernel.js';
import type { Connector } from './connector.js';
import { type AttachContext, DEFAULT_TIMES } from './context.js';
import { newCounters } from './figures.js';
import { hostProperties } from './host-properties.js';
import { parseRecord } from './journal/record.js';
import { RecordStore } from './journal/record-store.js';
import type { Pin } from './lifecycle/identity.js';
import { LocalConnector } from './local-connector.js';
import { NfsConnector } from './nfs/nfs-connector.js';
import { NfsMounts } from './nfs/nfs-mounts.js';
import { QemuConnector } from './qemu/qemu-connector.js';
import type { PoolOptions } from './service.js';

/** Connectors that bring a volume to this host's kernel; `brick` asks for all of them. */
const KERNEL = ['brick', 'nfs'];

/** Everything that attachments work with, as the options say. Opens the journal: the caller owns the state directory. */
export async function contextOf(options: PoolOptions): Promise<AttachContext> {
  const { attachments, volumes, clones, isolate = 'none', log, stateDir } = options;
  const clock = options.clock ?? systemClock;
  const times = { ...DEFAULT_TIMES, ...options.times };
  const said = await hostProperties(options);
  const brick = await brickConnector(options, said, times.connectMs);
  // FC and NVMe need what os-brick says about this host; name, address and mode stay as configured.
  const properties =
    options.connector === 'brick'
      ? { ...(await brick.properties()), ...said, multipath: brick.multipath }
      : said;
  const records = await RecordStore.open({
    directory: join(stateDir, 'attachments'),
    parse: parseRecord,
    keyOf: ({ volumeId }) => volumeId,
    log,
  });
  const pins = await RecordStore.open({
    directory: join(stateDir, 'pins'),
    parse: parsePin,
    keyOf: ({ volumeId }) => volumeId,
    log,
  });
  const qemu = new QemuConnector({
    directory: join(options.runDir, 'nbd'),
    initiator: said.initiator,
    cephDirectory: options.cephDirectory ?? '/etc/ceph',
    clock,
    startMs: times.connectMs,
  });
  const mounts = new NfsMounts({ directory: join(options.runDir, 'nfs'), timeoutMs: times.connectMs });
  const nfs = new NfsConnector(mounts, qemu);
  const connectors: readonly Connector[] = options.connectors ?? [new LocalConnector(), qemu, nfs, brick];
  // Through this host's kernel only when asked: there a volume meets everything else that uses it.
  const wanted = (name: string): boolean =>
    options.connector === 'auto'
      ? !KERNEL.includes(name) || options.connectors !== undefined
      : name === options.connector || (options.connector === 'brick' && KERNEL.includes(name));
  const choices = connectors.filter(({ name }) => wanted(name));
  return {
    attachments,
    volumes,
    clones,
    isolate,
    verifyLimit: options.verifyLimit ?? 0,
    journal: options.journalled?.(records) ?? records,
    pins,
    connectors,
    choices,
    properties,
    times,
    inPlace: options.inPlace ?? false,
    slots: new Slots(options.attachLimit ?? 16),
    counters: newCounters(),
    guard: (locks) => brick.guard(locks),
    clock,
    log,
    random: options.random ?? Math.random,
  };
}

function parsePin(value: unknown): Pin | undefined {
  const pin = value as Partial<Pin> | null;
  return typeof pin?.volumeId === 'string' && typeof pin.fingerprint === 'string' ? (pin as Pin) : undefined;
}
