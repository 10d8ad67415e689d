import { once } from 'node:events';
import path from 'node:path';
import { ControlClient } from '../../src/cli/control/control-client.js';
import type { DaemonStatus } from '../../src/ops/status.js';
import { engineOf, enginesOn, hasEnded } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, Mounted, run } from '../support/program.js';
import type { Undo } from '../support/undo.js';

/** Who is killed. `host`: supervisor and engine at once, as when a machine loses its power. */
export type Victim = 'engine' | 'supervisor' | 'host';

/** An engine that takes over on a machine that does much else. */
const SERVING_MS = 180_000;
const STARTS = 5;

export interface MortalMountOptions {
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly undo: Undo;
}

/** A supervised mount whose processes are killed one after the other; it is started again when both are dead. */
export class MortalMount {
  readonly #options: MortalMountOptions;
  /** The supervisor, while it lives. */
  #mounted: Mounted | undefined;
  /** The engine that was killed last: a supervisor may not have noticed yet. */
  #dead: number | undefined;
  /** Its supervisor is dead. */
  #orphaned = false;

  constructor(options: MortalMountOptions) {
    this.#options = options;
    options.undo.after(() => this.#settle());
  }

  get mountpoint(): string {
    return path.join(this.#options.dir, 'images');
  }

  /** Those who can be killed now. An orphan is all there is of its host. */
  get victims(): readonly Victim[] {
    return this.#orphaned ? ['host'] : ['engine', 'host', 'supervisor'];
  }

  /** Starts a mount if none is left; waits until an engine runs, and (`serving`) until it serves. */
  async revive(serving: boolean): Promise<Mounted | undefined> {
    if (this.#orphaned) return undefined;
    this.#mounted ??= await this.#start();
    const { said } = this.#mounted;
    try {
      await this.#hasEngine(this.#mounted, serving);
    } catch (error) {
      throw new Error(`${String(error)}\n${said.slice(-20).join('\n')}`, { cause: error });
    }
    return this.#mounted;
  }

  /** As systemd does it: a start that fails, because the cloud is too busy to log anybody in, is tried again. */
  async #start(): Promise<Mounted> {
    const { dir, env, undo } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        return await Mounted.start({ dir, env, test: undo });
      } catch (error) {
        if (tries === STARTS) throw error;
      }
    }
  }

  async #hasEngine({ child }: Mounted, serving: boolean): Promise<void> {
    await eventually(
      'there is another engine',
      async () => {
        const pid = await engineOf(child.pid ?? 0);
        return pid === this.#dead ? undefined : pid;
      },
      SERVING_MS,
    );
    if (serving) await eventually('another engine serves', () => this.#serves(), SERVING_MS);
  }

  async kill(victim: Victim): Promise<void> {
    if (victim !== 'engine') await this.#killSupervisor();
    if (victim !== 'supervisor') await this.#killEngines();
    this.#orphaned = victim === 'supervisor';
  }

  /** After a test that failed half way: the journal is about to go, and with it what is known of the attachments. */
  async #settle(): Promise<void> {
    await this.kill('host');
    const { dir, env } = this.#options;
    const settings = {
      CINDERFS_STATE_DIR: path.join(dir, 'state'),
      CINDERFS_RUN_DIR: path.join(dir, 'run'),
      ...env,
    };
    await run('umount', ['-l', this.mountpoint]);
    await cinderfs(['attachments', this.mountpoint, '--reap'], settings);
  }

  async #killSupervisor(): Promise<void> {
    const child = this.#mounted?.child;
    this.#mounted = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  async #killEngines(): Promise<void> {
    for (const pid of await enginesOn(this.mountpoint)) {
      process.kill(pid, 'SIGKILL');
      await eventually('the engine is dead', () => hasEnded(pid));
      this.#dead = pid;
    }
  }

  async #serves(): Promise<true | undefined> {
    const client = ControlClient.forMountpoint(path.join(this.#options.dir, 'run'), this.mountpoint);
    const status = await client.get<DaemonStatus>('/status').catch(() => undefined);
    return status?.state === 'serving' && status.engine_pid !== this.#dead ? true : undefined;
  }
}
