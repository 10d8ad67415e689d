/** What changes a volume that exists: metadata, the read-only flag, and an admin's heavy hand. */

import type { CinderCall } from './cinder-call.js';
import { findVolume } from './cinder-attachments.js';
import { visibleMetadata } from './cinder-view.js';
import { isObject, pick, pickText, textsOf } from './json.js';
import type { Volume } from './model.js';
import type { Route } from './router.js';
import { ApiError, type Reply } from './service.js';
import type { VolumeStatus } from './volume-state.js';

export const volumeActionRoutes: Route<CinderCall>[] = [
  { method: 'GET', template: '/volumes/{id}/metadata', run: showMetadata },
  { method: 'POST', template: '/volumes/{id}/metadata', run: addMetadata },
  { method: 'POST', template: '/volumes/{id}/action', run: act },
];

function showMetadata(call: CinderCall, { id = '' }: Record<string, string>): Reply {
  return { status: 200, json: { metadata: visibleMetadata(findVolume(call, id)) } };
}

function addMetadata(call: CinderCall, { id = '' }: Record<string, string>): Reply {
  const volume = findVolume(call, id);
  Object.assign(volume.metadata, textsOf(pick(call.body, 'metadata')));
  changed(call, volume);
  return { status: 200, json: { metadata: volume.metadata } };
}

function act(call: CinderCall, { id = '' }: Record<string, string>): Reply {
  const volume = findVolume(call, id);
  const [action = 'None', body] = isObject(call.body) ? (Object.entries(call.body)[0] ?? []) : [];
  switch (action) {
    case 'os-update_readonly_flag':
      setReadonly(volume, pick(body, 'readonly') === true);
      break;
    case 'os-reset_status':
      requireAdmin(call, 'volume_extension:volume_admin_actions:reset_status');
      volume.status = (pickText(body, 'status') ?? volume.status) as VolumeStatus;
      break;
    case 'os-force_detach':
      requireAdmin(call, 'volume_extension:volume_admin_actions:force_detach');
      call.cloud.step(volume, { is: 'delete', id: pickText(body, 'attachment_id') ?? '' });
      break;
    default:
      throw new ApiError(400, `There is no such action: ${action}`);
  }
  changed(call, volume);
  return { status: 202 };
}

function setReadonly(volume: Volume, readonly: boolean): void {
  if (volume.status !== 'available') {
    const text = `Volume ${volume.id} status must be available to update readonly flag, but current status is: ${volume.status}.`;
    throw new ApiError(400, `Invalid volume: ${text}`);
  }
  volume.readonly = readonly;
}

function requireAdmin(call: CinderCall, policy: string): void {
  if (!call.caller.isAdmin) throw new ApiError(403, `Policy doesn't allow ${policy} to be performed.`);
}

function changed(call: CinderCall, volume: Volume): void {
  volume.updatedAt = Date.now();
  call.cloud.touch();
}
