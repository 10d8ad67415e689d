import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Packages in CommonJS that a process has loaded once it has imported `entry`. */
async function packagesOf(entry: string): Promise<ReadonlySet<string>> {
  const url = new URL(`../../src/${entry}`, import.meta.url).href;
  const script = `await import(${JSON.stringify(url)});
    const { Module } = await import('node:module');
    process.stdout.write(JSON.stringify(Object.keys(Module._cache)));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  const files = JSON.parse(stdout) as string[];
  return new Set(files.map((file) => /.*node_modules\/([^/]+)/.exec(file)?.[1] ?? ''));
}

describe('what a process loads before it needs it', () => {
  for (const entry of ['cli/main.js', 'cli/serving/supervise.js'])
    it(`no package that takes memory, by ${entry}`, async () => {
      const packages = await packagesOf(entry);
      for (const heavy of ['undici', 'pino', 'pino-pretty', 'yaml', 'koffi'])
        assert.ok(!packages.has(heavy), `${heavy} is loaded`);
    });

  it('of an engine the HTTP client and nothing that writes or reads text', async () => {
    const packages = await packagesOf('cli/serving/serve.js');
    assert.ok(packages.has('undici'), 'this test looks in the wrong place');
    for (const heavy of ['pino', 'pino-pretty', 'yaml'])
      assert.ok(!packages.has(heavy), `${heavy} is loaded`);
  });
});
