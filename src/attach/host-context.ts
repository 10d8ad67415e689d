import { join } from 'node:path';
import { systemClock } from '../async/clock.js';
import { Slots } from '../async/slots.js';
import { brickConnector } from './connectors/brick/kernel.js';
import { boundedConnector } from './connectors/bounded-connector.js';
import { choicesOf, connectorsOf } from './connectors/connectors.js';
import { type AttachContext, DEFAULT_TIMES } from './context/context.js';
import { HostCalls } from './host/host-calls.js';
import { ImageHeads } from './head/image-heads.js';
import { hostProperties } from './host/host-properties.js';
import { DEFAULT_CEILINGS } from './context/ceilings.js';
import { parseRecord } from './journal/record.js';
import { ATTACHMENTS, RecordStore } from './journal/record-store.js';
import { GlanceHashes } from './proof/glance-hashes.js';
import type { Pin } from './proof/identity.js';
import type { PoolOptions } from './pool-options.js';
import { ATTACH_METRICS, newCounters } from '../metrics.js';

/** Milliseconds for a connector to undo what it began, once its own deadline is over. */
const UNDO_MS = 15_000;

/** Everything that attachments work with, as the options say. Opens the journal: the caller owns the state directory. */
export async function contextOf(options: PoolOptions): Promise<AttachContext> {
  const { attachments, volumes, clones, images, isolate = 'none', log, stateDir } = options;
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
    directory: join(stateDir, ATTACHMENTS),
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
  const hostCalls = new HostCalls(clock);
  const { lookMs, connectMs } = times;
  const bounds = { lookMs, connectMs: connectMs + UNDO_MS };
  const connectors = connectorsOf(options, brick, { clock, initiator: said.initiator, connectMs }).map(
    (connector) => boundedConnector(connector, hostCalls, bounds),
  );
  return {
    attachments,
    volumes,
    clones,
    hashes: new GlanceHashes({ images, clock, log }),
    isolate,
    verifyLimit: options.verifyLimit ?? 0,
    heads: new ImageHeads({ safety: options.imageSafety ?? 'refuse', lookMs: times.connectMs, clock, log }),
    journal: options.journalled?.(records) ?? records,
    pins,
    connectors,
    choices: choicesOf(connectors, options),
    properties,
    times,
    inPlace: options.inPlace ?? false,
    ceilings: { ...DEFAULT_CEILINGS, ...options.ceilings },
    slots: new Slots(options.attachLimit ?? 16),
    hostCalls,
    counters: newCounters(ATTACH_METRICS),
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
