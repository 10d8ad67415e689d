import { mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isAlive, nameProcess, type ProcessName } from '../sys/processes/process-name.js';

/** The name of the supervisor of a mount in its run directory: the process to tell when no engine answers. */
export class SupervisorFile {
  readonly #path: string;
  readonly #others: readonly string[];

  /** `others` are files that engines leave for each other, which go with it. */
  constructor(runDir: string, others: readonly string[] = []) {
    this.#path = path.join(runDir, 'supervisor');
    this.#others = others;
  }

  /** Names this process. */
  write(): void {
    mkdirSync(path.dirname(this.#path), { recursive: true, mode: 0o755 });
    rmSync(this.#path, { force: true });
    writeFileSync(this.#path, JSON.stringify(nameProcess(process.pid)), { mode: 0o600, flag: 'wx' });
  }

  /** The supervisor, if it lives. */
  read(): ProcessName | undefined {
    try {
      const { pid, started } = JSON.parse(readFileSync(this.#path, 'utf8')) as Partial<ProcessName>;
      if (!Number.isSafeInteger(pid) || pid === undefined || pid < 2 || typeof started !== 'string')
        return undefined;
      return isAlive({ pid, started }) ? { pid, started } : undefined;
    } catch {
      // None was written, or not by us.
      return undefined;
    }
  }

  /** With its folder, where nothing else is in that. */
  remove(): void {
    for (const file of [this.#path, ...this.#others]) rmSync(file, { force: true });
    try {
      rmdirSync(path.dirname(this.#path));
    } catch {
      // An engine that still ends has files there.
    }
  }
}
