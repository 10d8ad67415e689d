import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Event, next, type State } from '../../src/attach/lifecycle/state.js';
import { CinderfsError } from '../../src/errors.js';

const held = 'the device';
const reason = new CinderfsError('image_changed', 'deleted');

const STATES = {
  detached: { is: 'detached' },
  attaching: { is: 'attaching', waiting: 2, doomed: undefined, parting: false },
  abandoned: { is: 'attaching', waiting: 0, doomed: undefined, parting: false },
  doomed: { is: 'attaching', waiting: 2, doomed: reason, parting: false },
  attached: { is: 'attached', held, leases: 2, parting: false },
  last: { is: 'attached', held, leases: 1, parting: false },
  parting: { is: 'attached', held, leases: 1, parting: true },
  lingering: { is: 'lingering', held },
  parked: { is: 'parked', held },
  detaching: { is: 'detaching', waiting: 0 },
  wanted: { is: 'detaching', waiting: 1 },
  fenced: { is: 'fenced', waiting: 0, reason },
} as const satisfies Record<string, State<string>>;

const EVENTS = {
  acquire: { type: 'acquire' },
  leave: { type: 'leave' },
  recover: { type: 'recover' },
  arrived: { type: 'attached', held },
  failed: { type: 'failed', leftover: false },
  failed_half_way: { type: 'failed', leftover: true },
  not_adopted: { type: 'not_adopted' },
  release: { type: 'release', evict: false },
  evict: { type: 'release', evict: true },
  expire: { type: 'expire' },
  settle: { type: 'settle' },
  let_go: { type: 'let_go' },
  fence: { type: 'fence', reason },
  detached: { type: 'detached' },
} as const satisfies Record<string, Event<string>>;

/** Each step: from, event, the state it leads to, effects. `-` where nothing changes. */
const TABLE = `
  detached   acquire          attaching(1)          attach
  detached   recover          attaching(0)          recover
  detached   release          -
  detached   expire           -
  detached   let_go           -
  detached   settle           -
  detached   fence            -
  attaching  acquire          attaching(3)
  attaching  leave            attaching(1)
  attaching  arrived          attached(2)           grant_waiters
  attaching  failed           detached
  attaching  failed_half_way  detaching(0)          detach
  attaching  not_adopted      detaching(2)          detach
  attaching  fence            attaching(2,doomed)
  attaching  let_go           attaching(2,parting)
  attaching  expire           -
  attaching  release          -
  attaching  settle           -
  abandoned  arrived          lingering             start_linger
  doomed     arrived          fenced(2)             cut_leases detach
  attached   acquire          attached(3)
  attached   release          attached(1)
  attached   evict            attached(1,parting)
  attached   let_go           attached(2,parting)
  attached   fence            fenced(0)             cut_leases detach
  attached   expire           -
  attached   settle           -
  last       release          lingering             start_linger
  last       evict            detaching(0)          detach
  parting    release          detaching(0)          detach
  parting    acquire          attached(2,parting)
  lingering  acquire          attached(1)           stop_linger
  lingering  expire           detaching(0)          stop_linger detach
  lingering  let_go           detaching(0)          stop_linger detach
  lingering  fence            fenced(0)             stop_linger cut_leases detach
  lingering  settle           -
  parked     acquire          attached(1)
  parked     settle           lingering             start_linger
  parked     let_go           detaching(0)          detach
  parked     fence            fenced(0)             cut_leases detach
  detaching  acquire          detaching(1)          hurry
  detaching  detached         detached
  detaching  release          -
  detaching  expire           -
  detaching  let_go           -
  detaching  settle           -
  detaching  fence            -
  wanted     leave            detaching(0)
  wanted     detached         attaching(1)          attach
  fenced     acquire          fenced(1)             hurry
  fenced     detached         detached
  fenced     release          -
  fenced     fence            -
`;

const rows = TABLE.trim()
  .split('\n')
  .map((line) => line.trim().split(/\s+/) as [keyof typeof STATES, keyof typeof EVENTS, string, ...string[]]);

function show(state: State<string>): string {
  switch (state.is) {
    case 'detached':
    case 'lingering':
    case 'parked':
      return state.is;
    case 'attaching':
      return `attaching(${state.waiting}${state.doomed === undefined ? '' : ',doomed'}${state.parting ? ',parting' : ''})`;
    case 'attached':
      return `attached(${state.leases}${state.parting ? ',parting' : ''})`;
    case 'detaching':
    case 'fenced':
      return `${state.is}(${state.waiting})`;
  }
}

describe('the attachment state machine', () => {
  for (const [from, event, to, ...effects] of rows)
    it(`${from} on ${event} becomes ${to}${effects.length > 0 ? ` and does ${effects.join(', ')}` : ''}`, () => {
      const step = next(STATES[from], EVENTS[event], 'linger');
      assert.equal(show(step.state), to === '-' ? show(STATES[from]) : to);
      assert.deepEqual(
        step.effects.map((effect) => effect.do),
        effects,
      );
    });

  it('detaches at once what does not linger', () => {
    for (const [state, event] of [
      [STATES.last, EVENTS.release],
      [STATES.abandoned, EVENTS.arrived],
      [STATES.parked, EVENTS.settle],
    ] as const) {
      const step = next<string>(state, event, 'detach');
      assert.deepEqual([step.state.is, step.effects.map((effect) => effect.do)], ['detaching', ['detach']]);
    }
  });

  it('parks what has no lease before everything is settled, unless it is to go', () => {
    for (const [state, event, becomes] of [
      [STATES.last, EVENTS.release, 'parked'],
      [STATES.abandoned, EVENTS.arrived, 'parked'],
      [STATES.last, EVENTS.evict, 'detaching'],
      [STATES.parting, EVENTS.release, 'detaching'],
    ] as const)
      assert.equal(next<string>(state, event, 'park').state.is, becomes);
  });

  it('is total: every other pair is a bug and says so, or changes nothing', () => {
    const known = new Set(rows.map(([from, event]) => `${from} ${event}`));
    for (const [from, state] of Object.entries(STATES))
      for (const [name, event] of Object.entries(EVENTS)) {
        if (known.has(`${from} ${name}`)) continue;
        try {
          const step = next<string>(state, event, 'linger');
          assert.ok(step.state.is.length > 0);
        } catch (error) {
          assert.ok(
            CinderfsError.is(error) && error.code === 'internal',
            `${from} on ${name}: ${String(error)}`,
          );
        }
      }
  });

  it('never drops what is held without detaching it', () => {
    for (const state of [STATES.attached, STATES.last, STATES.parting, STATES.lingering, STATES.parked])
      for (const event of [
        EVENTS.acquire,
        EVENTS.release,
        EVENTS.evict,
        EVENTS.expire,
        EVENTS.let_go,
        EVENTS.fence,
      ]) {
        if (['lingering', 'parked'].includes(state.is) && event.type === 'release') continue;
        if (state.is === 'parked' && event.type === 'expire') continue;
        const step = next<string>(state, event, 'linger');
        const kept = 'held' in step.state;
        assert.equal(
          step.effects.some((effect) => effect.do === 'detach'),
          !kept,
          `${state.is} on ${event.type}`,
        );
      }
  });
});
