import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Debian's own interpreter: another one has other packages. */
const PYTHON = '/usr/bin/python3';

/** The TypeScript is compiled to dist/, the script is not. */
const DRIVER = fileURLToPath(new URL('../../../../test/config/sdk/driver.py', import.meta.url));

export interface Question {
  readonly env: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly catalog: readonly object[];
}

/** Which proxy requests would take to `url`. */
export interface ProxyQuestion {
  readonly env: Readonly<Record<string, string>>;
  readonly url: string;
}

/** Which version of a Python package answers. */
export interface VersionQuestion {
  readonly package: string;
}

export type Ask = (question: Question | ProxyQuestion | VersionQuestion) => Promise<unknown>;

/** Asks Debian's openstacksdk and keystoneauth, one question after the other, in one process that ends with the test. */
export function openstacksdk(t: TestContext): Ask {
  const child = spawn(PYTHON, [DRIVER], { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = once(child, 'close');
  t.after(async () => {
    child.stdin.end();
    await gone;
  });
  const lines: AsyncIterator<string> = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async (question) => {
    child.stdin.write(`${JSON.stringify(question)}\n`);
    const line = await lines.next();
    if (line.done === true)
      throw new Error('the driver ended; are python3-openstacksdk and python3-keystoneauth1 installed?');
    return JSON.parse(line.value) as unknown;
  };
}
