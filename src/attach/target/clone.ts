/**
 * A volume that is not multiattach can be read by one host at a time. With `--isolate=clone` it is read through a
 * copy-on-write clone of our own: made when the image is first opened, one per volume and host, deleted after the
 * linger. The clone is one more thing that an attach makes and undo() removes, in the same journal record.
 */
import { randomUUID } from 'node:crypto';
import { backoffDelay } from '../../async/backoff.js';
import { sleep } from '../../async/clock.js';
import type { CloneRequest, Volume } from '../../cinder/contract/volumes.js';
import { CinderfsError } from '../../errors.js';
import type { AttachContext } from '../context/context.js';
import type { AttachmentRecord, CloneRecord } from '../journal/record.js';
import { refused } from '../context/refusal.js';

/** Begins the name of every clone of ours. */
export const CLONE_PREFIX = 'cinderfs-clone-';
/** Metadata of a clone: the mount it belongs to, as the connector names it. */
export const OWNER_TAG = 'cinderfs_owner';

type CloneIntent = AttachmentRecord & { readonly clone: CloneRecord };

const POLL = { baseMs: 500, capMs: 5_000 };
const IN_THE_MAKING = ['creating', 'downloading'];

/**
 * Makes a clone of `source` and waits until it can be attached; answers with it and with its record (journaled).
 * Rejects with `attach_refused` or `attach_timeout`; then the journal has what may be left.
 */
export async function makeClone(
  intent: AttachmentRecord,
  source: Volume,
  context: AttachContext,
  signal: AbortSignal,
): Promise<{ readonly volume: Volume; readonly clone: CloneRecord }> {
  const { journal } = context;
  const name = `${CLONE_PREFIX}${randomUUID()}`;
  const types = await typesFor(source, context);
  const record = { ...intent, step: 'clone', clone: { name, answered: false } } as const;
  await journal.write(record);
  const { id } = await ask(record, source, types, context, signal);
  const clone = { name, answered: true, volumeId: id };
  await journal.write({ ...record, clone });
  const volume = await until(id, context, signal, (made) => !IN_THE_MAKING.includes(made?.status ?? ''));
  if (volume?.status === 'available') return { volume, clone };
  const why = `Cinder could not clone it: the clone ${id} is ${volume?.status ?? 'gone'}`;
  throw new CinderfsError('attach_refused', `volume ${source.id} cannot be read through a clone: ${why}`, {
    volume: source.id,
    remedy: 'See the cinder-volume log, or use --isolate=none.',
  });
}

/**
 * Deletes the clone that `record` may have made, as soon as its backend counts no reader: asked earlier,
 * Cinder leaves it in error_deleting, which only an administrator can mend. Resolves when it is gone for certain.
 */
export async function deleteClone(
  record: AttachmentRecord,
  context: AttachContext,
  signal: AbortSignal,
): Promise<void> {
  const { clone: made } = record;
  const { clock, times } = context;
  if (made === undefined) return;
  const id = made.volumeId ?? (await findClone(made, context, signal));
  if (id === undefined) return;
  const without = { attachmentId: undefined, host: undefined, answered: true };
  await context.journal.write({
    ...record,
    ...without,
    step: 'delete_clone',
    clone: { ...made, volumeId: id },
  });
  const left = (record.abandonedAt ?? -Infinity) + times.forgetMs - clock.wall();
  // A wall clock that was set back does not make it longer.
  if (left > 0) await sleep(clock, Math.min(left, times.forgetMs), signal);
  await removeClone(id, context, signal);
}

/** Deletes a clone, in whatever state it is, and waits until Cinder has forgotten it. */
export async function removeClone(id: string, context: AttachContext, signal: AbortSignal): Promise<void> {
  const made = await until(id, context, signal, (volume) => !IN_THE_MAKING.includes(volume?.status ?? ''));
  if (made === undefined) return;
  await context.clones.delete(id);
  const left = await until(id, context, signal, (volume) => volume?.status !== 'deleting');
  if (left === undefined) return;
  throw new CinderfsError('detach_failed', `the clone ${id} was not deleted: it is ${left.status}`, {
    volume: id,
    remedy: 'See the cinder-volume log; it is tried again.',
  });
}

/** The clone's own volume type is multiattach where that is allowed; Cinder knows which types fit. */
async function ask(
  record: CloneIntent,
  source: Volume,
  types: readonly (string | undefined)[],
  context: AttachContext,
  signal: AbortSignal,
): Promise<Volume> {
  const { clock, properties, random, times } = context;
  const metadata = {
    [OWNER_TAG]: properties.mountpoint ?? properties.host,
    cinderfs_host: properties.host,
    cinderfs_source: source.id,
    cinderfs_image: record.imageId,
  };
  const request = { source: source.id, name: record.clone.name, sizeGib: source.sizeGib, metadata };
  const end = clock.now() + times.attachBudgetMs;
  try {
    for (let attempt = 0; ; attempt++) {
      const made = await askOnce(request, types, context, clock.now() >= end);
      if (made !== undefined) return made;
      await sleep(clock, 250 + backoffDelay(POLL, attempt, random), signal);
    }
  } catch (error) {
    await settleRefusal(record, error, context);
    throw refused(error, source.id);
  }
}

/** The first type that Cinder takes; undefined while another host is attaching the source, which passes. */
async function askOnce(
  request: Omit<CloneRequest, 'type'>,
  types: readonly (string | undefined)[],
  { clones }: AttachContext,
  last: boolean,
): Promise<Volume | undefined> {
  for (const type of types) {
    try {
      return await clones.create({ ...request, type });
    } catch (error) {
      if (!CinderfsError.is(error)) throw error;
      if (error.code === 'conflict' && !last) return undefined;
      if (type === undefined || error.context.status !== 400 || error.code === 'conflict') throw error;
    }
  }
  return undefined;
}

/** Those named like the source's own first: they are likely of the same backend. Undefined is the source's own. */
async function typesFor(source: Volume, { clones }: AttachContext): Promise<readonly (string | undefined)[]> {
  const types = await clones.multiattachTypes().catch((error: unknown) => {
    throw refused(error, source.id);
  });
  const akin = (type: string): boolean => type.startsWith(source.volumeType ?? '\0');
  return [...types.filter(akin), ...types.filter((type) => !akin(type)), undefined];
}

/** After a definite no there is no clone; anything else must be looked up before it is forgotten. */
async function settleRefusal(record: CloneIntent, error: unknown, { journal }: AttachContext): Promise<void> {
  const status = CinderfsError.is(error) ? error.context.status : undefined;
  if (status === undefined) return;
  if (status < 500) await journal.remove(record.volumeId);
  else await journal.write({ ...record, clone: { ...record.clone, answered: true } });
}

/** The clone of an unanswered request, by the name that only this request gave. A cut request may still be served. */
async function findClone(
  clone: CloneRecord,
  { clones, clock, times }: AttachContext,
  signal: AbortSignal,
): Promise<string | undefined> {
  const end = clock.now() + times.orphanMs;
  for (;;) {
    const [found] = await clones.named(clone.name);
    if (found !== undefined || clone.answered || clock.now() >= end) return found?.id;
    await sleep(clock, times.orphanMs / 6, signal);
  }
}

/** Looks at the volume until `settled`; undefined when it is gone. `attach_timeout` after the time for a clone. */
async function until(
  id: string,
  { volumes, clock, times, random }: AttachContext,
  signal: AbortSignal,
  settled: (volume: Volume | undefined) => boolean,
): Promise<Volume | undefined> {
  const end = clock.now() + times.cloneMs;
  for (let attempt = 0; ; attempt++) {
    const volume = await volumes.show(id).catch((error: unknown) => {
      if (CinderfsError.is(error) && error.code === 'not_found') return undefined;
      throw error;
    });
    if (settled(volume)) return volume;
    if (clock.now() >= end)
      throw new CinderfsError('attach_timeout', `the clone ${id} is still ${volume?.status ?? 'gone'}`, {
        volume: id,
      });
    await sleep(clock, 250 + backoffDelay(POLL, attempt, random), signal);
  }
}
