import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOptions } from '../../bench/options.js';

describe('bench options', () => {
  it('of a full run write the document, from five repetitions of 1 GiB and a sparse 10 GiB', () => {
    const { quick, out, doc, scale } = parseOptions([], {});
    assert.deepEqual({ quick, out, doc }, { quick: false, out: undefined, doc: 'docs/performance.md' });
    assert.equal(scale.repetitions, 5);
    assert.equal(scale.denseBytes, 2 ** 30);
    assert.equal(scale.sparseBytes, 10 * 2 ** 30);
    assert.equal(scale.sparseDataBytes, 256 * 2 ** 20);
  });

  it('of a quick run, or of a part, leave the document alone unless it is named', () => {
    assert.equal(parseOptions(['--quick'], {}).doc, undefined);
    assert.equal(parseOptions(['--backings=file'], {}).doc, undefined);
    assert.equal(parseOptions(['--metrics', 'rss'], {}).doc, undefined);
    assert.equal(parseOptions(['--quick', '--doc', 'x.md'], {}).doc, 'x.md');
  });

  it('always include direct, which every ratio is to', () => {
    assert.deepEqual(parseOptions(['--servers', 'engine, nbdfuse'], {}).servers, [
      'direct',
      'engine',
      'nbdfuse',
    ]);
    assert.deepEqual(parseOptions(['--servers', 'nbdfuse,direct'], {}).servers, ['nbdfuse', 'direct']);
  });

  it('take the number of repetitions, a whole one', () => {
    assert.equal(parseOptions(['--quick', '--repetitions', '7'], {}).scale.repetitions, 7);
    for (const wrong of ['0', '-1', '2.5', 'many', '']) {
      assert.throws(() => parseOptions([`--repetitions=${wrong}`], {}), TypeError);
    }
  });

  it('refuse a name they do not know, and say which they know', () => {
    assert.throws(() => parseOptions(['--backings=tape'], {}), /tape.*file, device, rbd/);
    assert.throws(() => parseOptions(['--servers=engine,sshfs'], {}), /sshfs.*nbdfuse/);
    assert.throws(() => parseOptions(['--metrics=speed'], {}), /speed.*seq-cold/);
  });

  it('refuse a flag they do not know', () => {
    assert.throws(() => parseOptions(['--fast'], {}), TypeError);
  });

  it('find the lab by flag before environment', () => {
    assert.equal(parseOptions(['--lab', 'a'], { CINDERFS_LAB: 'b' }).lab, 'a');
    assert.equal(parseOptions([], { CINDERFS_LAB: 'b' }).lab, 'b');
  });
});
