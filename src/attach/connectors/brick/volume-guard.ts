import { readFile } from 'node:fs/promises';
import type { Volume } from '../../../cinder/contract/volumes.js';
import { guard } from './brick-command.js';

/** What is kept apart from what other services of this host do with the same volume, by the names of their locks. */
export interface GuardOptions {
  readonly lockDirectories: readonly string[];
  /** How long to wait for a neighbour, in milliseconds: it may be waiting for Cinder meanwhile. */
  readonly waitMs: number;
  /** For tests; the one next to this product otherwise. */
  readonly program?: string | undefined;
}

/** Lets go of what was guarded. Never rejects. */
export type Release = () => Promise<void>;

/**
 * The locks of one volume, in the order in which every service takes them: os-brick's for targets that volumes share (as
 * nova's guard_connection), then glance's, under which it counts the other users of the volume on this host before it removes
 * the device.
 */
export async function locksOf(
  volume: Pick<Volume, 'id' | 'sharedTargets' | 'serviceUuid'>,
  iscsiadm = '/sbin/iscsiadm',
): Promise<readonly string[]> {
  const { id, sharedTargets, serviceUuid = '' } = volume;
  // true: only an iscsiadm that scans by itself could import what another volume's detach just removed.
  const shared = sharedTargets === null || (sharedTargets === true && !(await scansOnDemand(iscsiadm)));
  const names = shared ? [`os-brick-${serviceUuid}`, `glance_store-${id}`] : [`glance_store-${id}`];
  // They become names of files.
  return names.filter((name) => /-[0-9a-f-]{36}$/i.test(name));
}

/** Whether iscsiadm leaves scanning to its caller; os-brick finds it out in the same way. */
async function scansOnDemand(iscsiadm: string): Promise<boolean> {
  const program = await readFile(iscsiadm).catch(() => Buffer.alloc(0));
  return program.includes('node.session.scan');
}

/** Takes those locks in every directory. Our own volumes queue here, where waiting costs no process. */
export class VolumeGuard {
  readonly #options: GuardOptions;
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** Rejects with `connector_failed` when a neighbour does not let go in time. */
  async take(names: readonly string[]): Promise<Release> {
    const { lockDirectories, waitMs, program } = this.#options;
    if (lockDirectories.length === 0 || names.length === 0) return () => Promise.resolve();
    const [first = ''] = names;
    const before = this.#turns.get(first) ?? Promise.resolve();
    const taken = before.then(() => {
      const request = { lock_names: names, lock_directories: lockDirectories, lock_seconds: waitMs / 1000 };
      return guard(request, { timeoutMs: waitMs + 10_000, program });
    });
    let done = (): void => undefined;
    const turn = new Promise<void>((resolve) => (done = resolve));
    this.#turns.set(first, turn);
    const end = (): void => {
      if (this.#turns.get(first) === turn) this.#turns.delete(first);
      done();
    };
    try {
      const release = await taken;
      return () => release().finally(end);
    } catch (error) {
      end();
      throw error;
    }
  }
}
