import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseVerb } from '../../src/cli/command-line/parse.js';
import { VERBS } from '../../src/cli/verbs.js';
import { CinderfsError } from '../../src/errors.js';
import { cinderfs } from '../support/program.js';

const verbCalled = (name: string): (typeof VERBS)[number] => {
  const verb = VERBS.find((one) => one.name === name);
  assert.ok(verb !== undefined, `no verb ${name}`);
  return verb;
};

/** The words and flags, or the error line. */
function parsed(line: string): unknown {
  const [name = '', ...rest] = line.split(' ').filter((word) => word !== '');
  try {
    return parseVerb(verbCalled(name), rest);
  } catch (error) {
    assert.ok(CinderfsError.is(error));
    return error.toLine();
  }
}

const flagsOf = (line: string): Record<string, unknown> => {
  const result = parsed(line);
  assert.ok(typeof result === 'object' && result !== null && 'flags' in result, String(result));
  return { ...(result.flags as object) };
};

describe('--help', () => {
  it('names flags and values as the parser takes them', () => {
    for (const verb of VERBS) {
      for (const { name, value, bare } of verb.flags) {
        const words = Array.from({ length: verb.words.min }, () => 'WORD').join(' ');
        const forms =
          value === undefined
            ? [`--${name}`]
            : bare === undefined
              ? [`--${name} 7`, `--${name}=7`]
              : [`--${name}`, `--${name} 7`, `--${name}=7`];
        for (const form of forms) flagsOf(`${verb.name} ${form} ${words}`);
      }
    }
  });

  it('is meant by help VERB, which knows every verb and no other', async () => {
    assert.equal((await cinderfs(['help', 'umount'])).stdout, (await cinderfs(['umount', '-h'])).stdout);
    const { status, stderr } = await cinderfs(['help', 'umont']);
    assert.deepEqual([status, stderr.includes("did you mean 'umount'?")], [2, true], stderr);
  });
});

describe('a command line', () => {
  it('gives --drain its seconds, joined or not, and leaves it the mount point', () => {
    assert.deepEqual(parsed('umount /images --drain 60'), parsed('umount /images --drain=60'));
    assert.equal(flagsOf('umount --drain /images').drain, 'inf');
    assert.equal(flagsOf('umount --drain 2.5 /images').drain, '2.5');
    assert.equal(flagsOf('umount --drain -- 60').drain, 'inf');
  });

  it('that is wrong is told what is wrong with it', () => {
    const lines: [string, string][] = [
      ['umount', 'umount: missing DIR. See `cinderfs umount --help`. [usage]'],
      ['release', 'release: missing IMAGE|FILE. See `cinderfs release --help`. [usage]'],
      ['umount /a 60', "umount: unexpected argument '60'. See `cinderfs umount --help`. [usage]"],
      ['images x', "images: unexpected argument 'x'. See `cinderfs images --help`. [usage]"],
      [
        'mount /a --os-clod=x',
        "mount: unknown option '--os-clod'; did you mean '--os-cloud'? See `cinderfs mount --help`. [usage]",
      ],
      ['images --zzzzzzzz', "images: unknown option '--zzzzzzzz'. See `cinderfs images --help`. [usage]"],
    ];
    for (const [line, said] of lines) assert.equal(parsed(line), said);
  });

  it('with an unknown verb is asked what was meant', async () => {
    for (const [typed, meant] of [
      ['mout', 'mount'],
      ['unmount', 'umount'],
      ['image', 'images'],
      ['stauts', 'status'],
    ] as const) {
      const { status, stderr, stdout } = await cinderfs([typed]);
      assert.deepEqual([status, stdout], [2, '']);
      assert.equal(
        stderr,
        `cinderfs: unknown command '${typed}'; did you mean '${meant}'? See \`cinderfs --help\`. [usage]\n`,
      );
    }
    const { stderr } = await cinderfs(['frobnicate']);
    assert.match(stderr, /unknown command 'frobnicate'; the commands are mount, umount, /);
  });

  it('cannot write on the terminal what it likes', async () => {
    const { stderr } = await cinderfs(['images', '-f', 'a\u001b[31m\u202eb\u2028c\ufeff\nd']);
    assert.match(stderr, /not 'a%1B\[31m%E2%80%AEb%E2%80%A8c%EF%BB%BF%0Ad'/);
    assert.equal(stderr.split('\n').length, 2, stderr);
  });
});
