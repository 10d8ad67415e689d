import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  next,
  statusFromAttachments,
  type AttachEvent,
  type AttachmentStatus,
  type AttachState,
  type VolumeStatus,
} from '../../devcloud/volume-state.js';

const VOLUME = 'v';

/** A volume in the state that `held` attachments leave it in, unless `status` says otherwise. */
function volume(
  multiattach: boolean,
  held: readonly AttachmentStatus[],
  status: VolumeStatus = statusFromAttachments(held),
): AttachState {
  const attachments = held.map((status, index) => ({
    id: `a${index}`,
    status,
    instance: index === 0 ? 'vm' : null,
    connected: status !== 'reserved',
  }));
  return { volumeId: VOLUME, status, multiattach, attachments };
}

function after(state: AttachState, event: AttachEvent): string {
  const outcome = next(state, event);
  if ('refused' in outcome) return `refused: ${outcome.refused.invalidVolume}`;
  return `${outcome.state.status} [${outcome.state.attachments.map(({ status }) => status).join(' ')}]`;
}

const reserve: AttachEvent = { is: 'reserve', id: 'new', instance: null };
const refusedAs = (status: string, allowed: string): string =>
  `refused: Volume v status must be ${allowed} to reserve, but the current status is ${status}.`;
const ONE = 'available or downloading';
const MANY = 'available or in-use or downloading';

describe('the volume state machine', () => {
  const rows: [string, AttachState, AttachEvent, string][] = [
    ['a free volume is reserved', volume(false, []), reserve, 'reserved [reserved]'],
    ['so is one being downloaded to', volume(false, [], 'downloading'), reserve, 'reserved [reserved]'],
    ['a reserved one is taken', volume(false, ['reserved']), reserve, refusedAs('reserved', ONE)],
    ['even if multiattach', volume(true, ['reserved']), reserve, refusedAs('reserved', MANY)],
    ['an attaching one is taken', volume(true, ['attaching']), reserve, refusedAs('attaching', MANY)],
    ['an in-use one is taken', volume(false, ['attached']), reserve, refusedAs('in-use', ONE)],
    ['unless multiattach', volume(true, ['attached']), reserve, 'reserved [attached reserved]'],
    [
      'nothing is reserved while creating',
      volume(true, [], 'creating'),
      reserve,
      refusedAs('creating', MANY),
    ],
    [
      'the same Nova instance may reserve an in-use volume again, which stays in-use',
      volume(false, ['attached']),
      { is: 'reserve', id: 'new', instance: 'vm' },
      'in-use [attached reserved]',
    ],
    [
      'another instance may not',
      volume(false, ['attached']),
      { is: 'reserve', id: 'new', instance: 'other' },
      refusedAs('in-use', ONE),
    ],
    [
      'a volume in error is not reserved',
      volume(false, [], 'error'),
      reserve,
      'refused: Volume attachments can not be created if the volume is in an error state. The Volume v currently has a status of: error ',
    ],
    [
      'the connector makes it attaching',
      volume(false, ['reserved']),
      { is: 'connect', id: 'a0' },
      'attaching [attaching]',
    ],
    [
      'a second connector needs multiattach',
      volume(false, ['attached', 'reserved']),
      { is: 'connect', id: 'a1' },
      'refused: duplicate connectors detected on volume v',
    ],
    [
      'and with it hides that the volume is in use',
      volume(true, ['attached', 'reserved']),
      { is: 'connect', id: 'a1' },
      'attaching [attached attaching]',
    ],
    [
      'complete makes it in-use',
      volume(false, ['attaching']),
      { is: 'complete', id: 'a0' },
      'in-use [attached]',
    ],
    [
      'complete again is fine',
      volume(false, ['attached']),
      { is: 'complete', id: 'a0' },
      'in-use [attached]',
    ],
    [
      'complete needs no connector',
      volume(false, ['reserved']),
      { is: 'complete', id: 'a0' },
      'in-use [attached]',
    ],
    ['the last delete frees it', volume(false, ['attached']), { is: 'delete', id: 'a0' }, 'available []'],
    [
      'an earlier one recomputes the status: attached wins',
      volume(true, ['attached', 'reserved'], 'reserved'),
      { is: 'delete', id: 'a1' },
      'in-use [attached]',
    ],
    [
      'attaching beats reserved',
      volume(true, ['attached', 'attaching', 'reserved']),
      { is: 'delete', id: 'a0' },
      'attaching [attaching reserved]',
    ],
    [
      'an unknown attachment changes nothing',
      volume(false, [], 'error'),
      { is: 'delete', id: 'x' },
      'error []',
    ],
  ];
  for (const [name, state, event, expected] of rows) {
    it(name, () => assert.equal(after(state, event), expected));
  }
});
