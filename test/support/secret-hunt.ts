import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { moment } from './time.js';

/** Collects secrets and everything that may show one, in any order; then looks for each of the former in all of the latter. */
export class SecretHunt {
  readonly #secrets = new Map<string, string>();
  readonly #texts = new Map<string, Set<string>>();

  /** `what` it is, in the words of a failure: the value itself is shown nowhere. */
  know(what: string, value: string): void {
    assert.ok(value.length >= 8, `${what} is too short to be looked for`);
    this.#secrets.set(value, what);
  }

  /** How many secrets are known whose `what` begins so. */
  known(kind: string): number {
    return [...this.#secrets.values()].filter((what) => what.startsWith(kind)).length;
  }

  collect(where: string, text: string): void {
    const texts = this.#texts.get(where) ?? new Set();
    this.#texts.set(where, texts.add(text));
  }

  /** The contents of every regular file below `directory`, the mount points of images left out. */
  async collectFiles(where: string, directory: string): Promise<void> {
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      const file = path.join(directory, entry.name);
      if (entry.isDirectory() && entry.name !== 'images') await this.collectFiles(where, file);
      else if (entry.isFile())
        this.collect(`${where}: ${file}`, await readFile(file, 'latin1').catch(() => ''));
      this.collect(`${where}: names`, entry.name);
    }
  }

  /** Whether anything collected shows `text`: a hunt that sees nothing proves nothing. */
  sees(where: RegExp, text: string): boolean {
    return [...this.#texts].some(
      ([place, texts]) => where.test(place) && [...texts].some((each) => each.includes(text)),
    );
  }

  /** `WHAT in WHERE` for each secret that was found, raw or in a form that gives it away. */
  found(): readonly string[] {
    return [...this.#secrets].flatMap(([value, what]) => {
      const forms = formsOf(value);
      return [...this.#texts]
        .filter(([, texts]) => [...texts].some((text) => forms.some((form) => text.includes(form))))
        .map(([where]) => `${what} in ${where}`);
    });
  }
}

function formsOf(value: string): readonly string[] {
  const base64 = Buffer.from(value).toString('base64').replace(/=+$/, '');
  const json = JSON.stringify(value).slice(1, -1);
  return [value, json, encodeURIComponent(value), base64, Buffer.from(value).toString('hex')];
}

/** argv and environment of a process and all its descendants, collected until `stop` aborts. */
export async function watchProcesses(hunt: SecretHunt, root: number, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await sample(hunt, root);
    await moment(100);
  }
}

async function sample(hunt: SecretHunt, pid: number): Promise<void> {
  const read = (file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '');
  hunt.collect('argv', await read('cmdline'));
  hunt.collect('environ', await read('environ'));
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  for (const task of tasks)
    for (const child of (await read(`task/${task}/children`)).split(' '))
      if (child !== '') await sample(hunt, Number(child));
}
