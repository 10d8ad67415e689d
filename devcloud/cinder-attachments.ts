/** The attachments API: the sequence reserve, connector, complete, delete, as Cinder 21 answers it. */

import { randomUUID } from 'node:crypto';

import type { CinderCall } from './cinder-call.js';
import { filtersOf, pageOf, seesProject } from './cinder-page.js';
import { attachmentDetail, attachmentSummary } from './cinder-view.js';
import { connectVolume } from './connect.js';
import { isUuid } from './ids.js';
import { isObject, pick, pythonRepr } from './json.js';
import type { Attachment, Volume } from './model.js';
import type { Route } from './router.js';
import { ApiError, type Reply } from './service.js';

export const attachmentRoutes: Route<CinderCall>[] = [
  { method: 'POST', template: '/attachments', since: 27, run: create },
  { method: 'GET', template: '/attachments', since: 27, run: (call) => list(call, attachmentSummary) },
  { method: 'GET', template: '/attachments/detail', since: 27, run: (call) => list(call, attachmentDetail) },
  { method: 'GET', template: '/attachments/{id}', since: 27, run: show },
  { method: 'PUT', template: '/attachments/{id}', since: 27, run: update },
  { method: 'DELETE', template: '/attachments/{id}', since: 27, run: remove },
  { method: 'POST', template: '/attachments/{id}/action', since: 44, run: complete },
];

async function create(call: CinderCall): Promise<Reply> {
  const body = checkCreate(call);
  const volume = findVolume(call, String(body.volume_uuid));
  const attachment = reserve(call, volume, body);
  const { connector } = body;
  if (isObject(connector) && Object.keys(connector).length > 0) {
    await connectVolume(call, volume, attachment, connector, 'create');
  } else {
    attachment.connectionInfo = {};
  }
  // Stored only now, so that a connector that failed leaves attach_mode null, as recorded.
  attachment.mode = modeFor(call, volume, body.mode);
  call.cloud.touch();
  return { status: 200, json: { attachment: asReserved(attachment) } };
}

async function update(call: CinderCall, { id = '' }: Record<string, string>): Promise<Reply> {
  const { attachment, volume } = findAttachment(call, id);
  const connector = pick(call.body, 'attachment', 'connector');
  if (!isObject(connector) || Object.keys(connector).length === 0) {
    const given = pythonRepr(connector ?? pick(call.body, 'attachment'));
    const reason = isObject(connector)
      ? '{} does not have enough properties'
      : "'connector' is a required property";
    throw new ApiError(400, `Invalid input for field/attribute connector. Value: ${given}. ${reason}`);
  }
  const before = attachmentDetail(attachment);
  const info = await connectVolume(call, volume, attachment, connector, 'update');
  // Cinder answers with the record as it read it before the driver ran: still "reserved", but with the info.
  return { status: 200, json: { attachment: { ...before, connection_info: info } } };
}

function complete(call: CinderCall, { id = '' }: Record<string, string>): Reply {
  if (!isObject(call.body) || !('os-complete' in call.body)) {
    throw new ApiError(400, 'There is no such action: None');
  }
  const { attachment, volume } = findAttachment(call, id);
  call.cloud.step(volume, { is: 'complete', id: attachment.id });
  return { status: 204, headers: { 'Content-Type': 'application/json' } };
}

async function remove(call: CinderCall, { id = '' }: Record<string, string>): Promise<Reply> {
  const { attachment, volume } = findAttachment(call, id);
  const isConnected = Object.keys(attachment.connectionInfo ?? {}).length > 0;
  if (attachment.instance !== null && isConnected && !call.caller.isServiceRequest) {
    // Cinder would ask Nova whether the server still uses it (CVE-2023-2088); there is no Nova in this cloud.
    throw new ApiError(
      500,
      'The server has either erred or is incapable of performing the requested operation.',
    );
  }
  call.cloud.step(volume, { is: 'delete', id: attachment.id });
  const rest = call.cloud.attachmentsOf(volume.id);
  await call.shelf.removeOrphan(volume);
  return { status: 200, json: { attachments: rest.map(attachmentSummary) } };
}

function show(call: CinderCall, { id = '' }: Record<string, string>): Reply {
  const { attachment } = findAttachment(call, id);
  return { status: 200, json: { attachment: attachmentDetail(attachment) } };
}

function list(call: CinderCall, view: (attachment: Attachment) => object): Reply {
  const filters = filtersOf(call, ['volume_id', 'status', 'instance_id', 'attach_status']);
  // Cinder takes `status` for a filter but has no such column, and then finds nothing: attach_status is the one.
  const visible = filters.has('status') ? [] : [...call.cloud.attachments.values()];
  const matching = visible.filter(
    (attachment) =>
      seesProject(call, call.cloud.volumes.get(attachment.volumeId)?.projectId ?? '') &&
      isLike(filters, 'volume_id', attachment.volumeId) &&
      isLike(filters, 'instance_id', attachment.instance) &&
      isLike(filters, 'attach_status', attachment.status),
  );
  const { items } = pageOf(call, 'attachments', matching, notFoundText);
  return { status: 200, json: { attachments: items.map(view) } };
}

function isLike(filters: Map<string, string>, name: string, value: string | null): boolean {
  return !filters.has(name) || filters.get(name) === value;
}

/** The attachment and its volume, if the caller may see them; Cinder says 404 for another project's. */
function findAttachment(call: CinderCall, id: string): { attachment: Attachment; volume: Volume } {
  const attachment = call.cloud.attachments.get(id);
  const volume = attachment && call.cloud.volumes.get(attachment.volumeId);
  const isVisible = volume !== undefined && (call.caller.isAdmin || volume.projectId === call.projectId);
  if (attachment === undefined || !isVisible) throw new ApiError(404, notFoundText(id));
  return { attachment, volume };
}

/** A volume the caller may use, or ApiError 404. */
export function findVolume(call: CinderCall, id: string): Volume {
  const volume = call.cloud.volumes.get(id);
  if (volume === undefined || !(call.caller.isAdmin || volume.projectId === call.projectId)) {
    throw new ApiError(404, `Volume ${id} could not be found.`);
  }
  return volume;
}

function reserve(call: CinderCall, volume: Volume, body: Record<string, unknown>): Attachment {
  const instance = typeof body.instance_uuid === 'string' ? body.instance_uuid : null;
  const attachment: Attachment = {
    id: randomUUID(),
    volumeId: volume.id,
    status: 'reserved',
    instance,
    mode: null,
    connector: null,
    connectionInfo: null,
    attachedAt: null,
    createdAt: call.cloud.stamp(),
  };
  call.cloud.step(volume, { is: 'reserve', id: attachment.id, instance });
  call.cloud.attachments.set(attachment.id, attachment);
  return attachment;
}

/** A read-only flag on the volume overrides what the caller asked, silently; set to "False" it does so too. */
function modeFor(call: CinderCall, volume: Volume, asked: unknown): string | null {
  if (volume.readonly !== undefined) return 'ro';
  if (call.minor < 54) return 'null';
  return typeof asked === 'string' ? asked : 'null';
}

/** The stale view of create: "reserved" and never attached, whatever a GET right after says. */
function asReserved(attachment: Attachment): object {
  return { ...attachmentDetail(attachment), status: 'reserved', attached_at: '' };
}

function checkCreate(call: CinderCall): Record<string, unknown> {
  const body = pick(call.body, 'attachment');
  if (!isObject(body)) throw invalid('body', call.body, "'attachment' is a required property");
  const allowed = ['volume_uuid', 'instance_uuid', 'connector', ...(call.minor >= 54 ? ['mode'] : [])];
  const extra = Object.keys(body).filter((key) => !allowed.includes(key));
  if (extra.length > 0) {
    const named = extra.map((key) => `'${key}'`).join(', ');
    const were = extra.length === 1 ? 'was' : 'were';
    throw invalid('attachment', body, `Additional properties are not allowed (${named} ${were} unexpected)`);
  }
  const { volume_uuid: volumeId, mode } = body;
  if (volumeId === undefined) throw invalid('attachment', body, "'volume_uuid' is a required property");
  if (!isUuid(volumeId)) throw invalid('volume_uuid', volumeId, `${pythonRepr(volumeId)} is not a 'uuid'`);
  if (mode !== undefined && mode !== 'ro' && mode !== 'rw') {
    throw invalid('mode', mode, `${pythonRepr(mode)} is not one of ['rw', 'ro']`);
  }
  return body;
}

function invalid(field: string, value: unknown, reason: string): ApiError {
  const shown = typeof value === 'string' ? value : pythonRepr(value);
  return new ApiError(400, `Invalid input for field/attribute ${field}. Value: ${shown}. ${reason}`);
}

const notFoundText = (id: string): string =>
  `Volume attachment could not be found with filter: attachment_id = ${id}.`;
