import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { loadCloud } from '../../src/config/cloud.js';
import type { CloudConfig } from '../../src/config/cloud-config.js';
import { loadConfig } from '../../src/config/load.js';
import { CinderfsError } from '../../src/errors.js';
import { temporaryFolder } from '../support/temporary.js';

/** A home, a working directory and files in them; every path starts below the test's own folder. */
export interface World {
  readonly root: string;
  readonly load: (env?: Record<string, string>, flags?: Record<string, string>) => CloudConfig;
}

/** Read by an ordinary user, unless `uid` says otherwise: root looks into fewer places. */
export async function world(
  t: TestContext,
  files: Record<string, string | object> = {},
  uid = 65534,
): Promise<World> {
  const root = await temporaryFolder(t);
  for (const [name, content] of Object.entries(files)) {
    const path = join(root, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 });
  }
  return {
    root,
    load(env = {}, flags = {}) {
      const whole = { HOME: join(root, 'home'), XDG_CONFIG_DIRS: join(root, 'site'), ...env };
      const loaded = loadConfig({
        flags: { 'config-file': '/dev/null', ...flags },
        env: whole,
        directory: root,
        uid,
      });
      return loadCloud({ loaded, env: whole, directory: join(root, 'cwd'), uid });
    },
  };
}

export const AUTH = { auth_url: 'http://k/v3', username: 'u', password: 'pw', project_name: 'p' };
export const cloud = (more: object = {}): object => ({ auth: AUTH, ...more });
export const clouds = (entries: Record<string, object>): object => ({ clouds: entries });

/** A cloud whose file can be told by its auth_url. */
export const from = (place: string): object =>
  clouds({ c: { auth: { ...AUTH, auth_url: `http://${place}/v3` } } });

export function failure(code: string, pattern: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(CinderfsError.is(error), String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}
