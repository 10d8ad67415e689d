import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { parseArgs } from 'node:util';
import { flagOptions, renderConfigurationReference, renderHelp } from '../../src/config/help.js';
import { loadConfig, type LoadedConfig } from '../../src/config/load.js';
import { flagOf, variableOf } from '../../src/config/option-spec.js';
import { optionEntries } from '../../src/config/options.js';
import { CinderfsError } from '../../src/errors.js';
import { temporaryFolder } from '../support/temporary.js';

/** The machine that runs the tests may have a configuration of its own. */
const NO_FILE = { 'config-file': '/dev/null' };

/** A configuration with this file. */
async function withFile(
  t: TestContext,
  text: string,
  flags: Record<string, unknown> = {},
  env: Record<string, string> = {},
): Promise<LoadedConfig> {
  const path = join(await temporaryFolder(t), 'cinderfs.conf');
  await writeFile(path, text);
  return loadConfig({ flags: { 'config-file': path, ...flags }, env });
}

function invalid(pattern: string | RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(CinderfsError.is(error), String(error));
    assert.equal(error.code, 'config_invalid');
    const found = typeof pattern === 'string' ? error.message.includes(pattern) : pattern.test(error.message);
    assert.ok(found, `${String(pattern)} in: ${error.message}`);
    return true;
  };
}

describe('the configuration', () => {
  it('takes each value from the flag, else the environment, else the file, else the default', async (t) => {
    const sources = { flag: '1s', environment: '2s', file: '3s' };
    const seconds = { flag: 1, environment: 2, file: 3, default: 60 };
    const kinds = ['flag', 'environment', 'file'] as const;
    // Every combination of the three being set or not.
    for (let bits = 0; bits < 8; bits++) {
      const set = kinds.filter((_, index) => (bits & (1 << index)) !== 0);
      const { config, origins } = await withFile(
        t,
        set.includes('file') ? `[DEFAULT]\nlinger = ${sources.file}\n` : '',
        set.includes('flag') ? { linger: sources.flag } : {},
        set.includes('environment') ? { CINDERFS_LINGER: sources.environment } : {},
      );
      const winner = set[0] ?? 'default';
      assert.equal(config.linger, seconds[winner], set.join('+'));
      assert.equal(origins.linger.kind, winner);
    }
  });

  it('says where each value comes from', async (t) => {
    const { origins } = await withFile(t, '# x\n\nlinger = 5\n', { 'http-retries': '1' }, { OS_CLOUD: 'c' });
    assert.match(origins.linger.where, /cinderfs\.conf:3$/);
    assert.equal(origins.http_retries.where, '--http-retries');
    assert.equal(origins.os_cloud.where, 'OS_CLOUD');
    assert.equal(origins.cache_size.where, 'default');
  });

  it('is frozen, and has a value or undefined for every option', () => {
    const { config } = loadConfig({ flags: NO_FILE, env: {} });
    assert.ok(Object.isFrozen(config));
    assert.deepEqual(
      Object.keys(config).sort(),
      optionEntries()
        .map(([name]) => name)
        .sort(),
    );
    assert.ok(config.cache_size <= 256 * 2 ** 20 && config.cache_size > 0);
    assert.equal(config.file_mode, 0o440);
    assert.equal(config.os_cloud, undefined);
  });

  it('takes an empty variable for none', () => {
    assert.equal(loadConfig({ flags: NO_FILE, env: { CINDERFS_LINGER: '' } }).config.linger, 60);
  });

  it('takes booleans as parseArgs gives them', () => {
    const parse = (...args: string[]): LoadedConfig => {
      const { values } = parseArgs({ args, options: flagOptions(), allowNegative: true, strict: true });
      return loadConfig({ flags: { ...NO_FILE, ...values }, env: {} });
    };
    assert.equal(parse('--passthrough').config.passthrough, true);
    assert.equal(parse('--no-passthrough').config.passthrough, false);
    assert.equal(parse('--linger=5m').config.linger, 300);
    assert.throws(() => parse('--os-password=x'), /os-password/);
  });

  it('takes relative paths of flags from the working directory, and refuses them in the file', async (t) => {
    const { config } = loadConfig({
      flags: { ...NO_FILE, 'state-dir': 'here' },
      env: {},
      directory: '/work-dir',
    });
    assert.equal(config.state_dir, '/work-dir/here');
    await assert.rejects(withFile(t, 'state_dir = here'), invalid('absolute path'));
  });
});

describe('what is wrong in a configuration', () => {
  it('is an unknown name, with the one that was meant', async (t) => {
    await assert.rejects(
      withFile(t, '[DEFAULT]\nlingr = 5'),
      invalid("cinderfs.conf:2: there is no option 'lingr'; did you mean 'linger'?"),
    );
    await assert.rejects(withFile(t, 'frobnicate = 1'), invalid(/no option 'frobnicate'$/));
    await assert.rejects(withFile(t, 'constructor = 1'), invalid(/no option 'constructor'/));
    await assert.rejects(withFile(t, '__proto__ = 1'), invalid(/no option '__proto__'/));
  });

  it('is a bad value: which, from where, and what is allowed', async (t) => {
    const bad: [string, string, RegExp][] = [
      ['linger', 'soon', /linger = 'soon' \(from .*conf:1\): it must be a time such as 90, 90s, 5m or 2h/],
      ['linger', '-5', /must be a time/],
      ['linger', '31d', /from 0 s to 2592000 s/],
      ['http_retries', '1.5', /an integer from 0 to 20/],
      ['http_retries', '21', /an integer from 0 to 20/],
      ['cache_size', '1 furlong', /a size such as/],
      ['cache_size', '9999999999TiB', /a size/],
      ['connector', 'magic', /one of auto, local, rbd, qemu, brick/],
      ['passthrough', 'maybe', /true or false/],
      ['file_mode', '9', /an octal mode such as 0440/],
      ['uid', 'no-such-user-here', /a user of this host/],
      ['volume_microversion', '2.60', /a Cinder microversion/],
    ];
    for (const [name, value, message] of bad) {
      await assert.rejects(withFile(t, `${name} = ${value}`), invalid(message), name);
    }
    assert.throws(
      () => loadConfig({ flags: NO_FILE, env: { CINDERFS_FUSE: 'x' } }),
      invalid(/fuse = 'x' \(from CINDERFS_FUSE\): it must be one of engine, native/),
    );
  });

  it('is a secret in the file, which does not appear in the message', async (t) => {
    await assert.rejects(withFile(t, 'os_password = hunter2'), (error) => {
      invalid(/os_password cannot be set here; use secure\.yaml or OS_PASSWORD/)(error);
      return !(error as Error).message.includes('hunter2');
    });
  });

  it('is a line that is no setting, or a section nobody reads', async (t) => {
    await assert.rejects(
      withFile(t, '[DEFAULT]\njust words'),
      invalid(/conf:2: 'just words' is not NAME = VALUE/),
    );
    await assert.rejects(withFile(t, '[nova]\nx = 1'), invalid(/conf:1: section \[nova\] is unknown/));
  });

  it('is a file that was named and cannot be read', async (t) => {
    const dir = await temporaryFolder(t);
    assert.throws(
      () => loadConfig({ flags: { 'config-file': join(dir, 'none') }, env: {} }),
      invalid(/cannot read the configuration file: ENOENT/),
    );
    assert.throws(() => loadConfig({ flags: { 'config-file': dir }, env: {} }), invalid(/EISDIR/));
  });
});

describe('what is generated from the option table', () => {
  it('names every option in the reference, and every flag in the help', () => {
    const reference = renderConfigurationReference();
    const help = renderHelp();
    for (const [name, spec] of optionEntries()) {
      assert.ok(reference.includes(`### ${name}\n`), name);
      assert.ok(reference.includes(`\`${variableOf(name, spec)}\``), name);
      const flag = flagOf(name).slice(2);
      const shown = help.includes(`--${flag} `) || help.includes(`--[no-]${flag}\n`);
      assert.equal(shown, spec.environmentOnly !== true, name);
    }
    for (const line of help.split('\n')) assert.ok(line.length <= 100, line);
  });

  it('can be limited to what a command uses', () => {
    const help = renderHelp(['linger']);
    assert.ok(help.includes('--linger') && !help.includes('--fuse'));
    assert.match(help, /Default: 60 s\./);
  });

  it('documents every option in a sentence', () => {
    for (const [name, { doc }] of optionEntries()) assert.match(doc, /^[A-Z`].*\.$/s, name);
  });
});
