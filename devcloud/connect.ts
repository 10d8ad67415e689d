/** The part of an attach that the storage backend does: connector in, connection info out. Backend faults strike here. */

import { sleep, systemClock } from '../src/async/clock.js';
import type { CinderCall } from './cinder-call.js';
import type { FaultSpec } from './faults.js';
import type { Attachment, Volume } from './model.js';
import { ApiError, Unanswered } from './service.js';
import { formatOf } from './volume-file.js';
import { activePathOf } from './volume-overlay.js';

/** `create`: the connector came with POST; `update`: with PUT. Cinder words their failures differently. */
type Via = 'create' | 'update';

/**
 * Exports `volume` to the host of `connector` and moves the attachment to `attaching`. Answers with the connection info
 * as the driver has it: its format is a guess from the content. Throws ApiError 409 or 500 and then leaves the
 * attachment `reserved` without connection info: Cinder rolls nothing back.
 */
export async function connectVolume(
  call: CinderCall,
  volume: Volume,
  attachment: Attachment,
  connector: Readonly<Record<string, unknown>>,
  via: Via,
): Promise<Readonly<Record<string, unknown>>> {
  const fault = call.faults.take(
    'cinder',
    call,
    'attach-slow',
    'attach-refused',
    'attach-stuck',
    'connector-conflict',
  );
  if (fault?.delayMs !== undefined) await sleep(systemClock, fault.delayMs);
  if (fault?.kind === 'attach-refused') throw backendFailure(via, fault);
  if (fault?.kind === 'connector-conflict') {
    throw new ApiError(409, fault.message ?? `duplicate connectors detected on volume ${volume.id}`);
  }
  if (typeof connector.host !== 'string') throw withoutReason(via);
  exportVolume(call, volume, attachment, connector, via);
  if (fault?.kind === 'attach-stuck') throw new Unanswered();
  const detected = volume.format === undefined ? {} : { format: await formatOf(activePathOf(volume)) };
  return { ...attachment.connectionInfo, ...detected };
}

function exportVolume(
  call: CinderCall,
  volume: Volume,
  attachment: Attachment,
  connector: Readonly<Record<string, unknown>>,
  via: Via,
): void {
  try {
    call.cloud.step(volume, { is: 'connect', id: attachment.id });
  } catch (error) {
    // On this path Cinder 21 turns InvalidVolume into a 500; later releases say 409.
    throw error instanceof ApiError ? failure(via, error.message) : error;
  }
  attachment.connector = connector;
  attachment.attachedAt = Date.now();
  attachment.connectionInfo = connectionInfoFor(call, volume, attachment);
  call.cloud.touch();
}

/** Flat, in os-brick's LOCAL form. */
function connectionInfoFor(
  call: CinderCall,
  volume: Volume,
  attachment: Attachment,
): Record<string, unknown> {
  return {
    device_path: activePathOf(volume),
    volume_id: volume.id,
    qos_specs: null,
    // Cinder reads the flag through the caller's eyes: a plain member gets 'rw' even for a read-only volume.
    access_mode: volume.readonly === true && call.caller.isAdmin ? 'ro' : 'rw',
    encrypted: volume.encrypted ?? false,
    cacheable: false,
    driver_volume_type: 'local',
    ...(volume.format === undefined ? {} : { format: volume.format }),
    attachment_id: attachment.id,
  };
}

function backendFailure(via: Via, fault: FaultSpec): ApiError {
  // A backend that is down fails without a reason, after 60 s; one that is up says why.
  if (fault.message === '') return withoutReason(via);
  const reason =
    fault.message ??
    'Bad or unexpected response from the storage volume backend API: Driver initialize connection failed (error: refused on demand).';
  return failure(via, reason);
}

function failure(via: Via, reason: string): ApiError {
  const message =
    via === 'create'
      ? `Unable to create attachment for volume (${reason}).`
      : `Unable to update attachment.(${reason}).`;
  return new ApiError(500, message);
}

function withoutReason(via: Via): ApiError {
  const message =
    via === 'create' ? 'Unable to create attachment for volume.' : 'Unable to update the attachment.';
  return new ApiError(500, message);
}
