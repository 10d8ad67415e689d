/** Volumes and attachments as Cinder shows them. */

import type { CinderCall } from './cinder-call.js';
import { uuidOf } from './ids.js';
import type { Attachment, Volume } from './model.js';

/** `2026-11-22T12:04:52.000000`: Cinder's clock has whole seconds. */
export function cinderTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}.000000`;
}

export function volumeSummary(call: CinderCall, volume: Volume): object {
  return { id: volume.id, name: volume.name, links: volumeLinks(call, volume.id) };
}

/** Field order and field set of the recorded answers; admins see more. */
export function volumeDetail(call: CinderCall, volume: Volume): object {
  const { isAdmin } = call.caller;
  const since = (minor: number, fields: object): object => (call.minor >= minor ? fields : {});
  const forAdmin = (fields: object): object => (isAdmin ? fields : {});
  return {
    id: volume.id,
    status: volume.status,
    size: volume.sizeGib,
    availability_zone: 'nova',
    created_at: cinderTime(volume.createdAt),
    updated_at: cinderTime(volume.updatedAt),
    name: volume.name,
    description: null,
    volume_type: volume.typeName,
    snapshot_id: null,
    source_volid: volume.sourceVolid,
    metadata: visibleMetadata(volume),
    links: volumeLinks(call, volume.id),
    user_id: volume.userId,
    bootable: String(volume.bootable),
    encrypted: volume.encrypted ?? false,
    replication_status: null,
    consistencygroup_id: null,
    multiattach: volume.multiattach,
    attachments: completedAttachments(call, volume),
    ...forAdmin({ migration_status: null }),
    ...since(13, { group_id: null }),
    ...forAdmin(since(21, { provider_id: null })),
    ...since(48, { shared_targets: false, service_uuid: uuidOf('service', 'cinder-volume') }),
    ...forAdmin(since(61, { cluster_name: null })),
    ...since(63, { volume_type_id: uuidOf('volume-type', volume.typeName) }),
    ...since(65, { consumes_quota: true }),
    'os-vol-tenant-attr:tenant_id': volume.projectId,
    ...forAdmin({
      'os-vol-mig-status-attr:migstat': null,
      'os-vol-mig-status-attr:name_id': null,
      'os-vol-host-attr:host': 'devcloud@local#local',
    }),
  };
}

/** The user's metadata and, as Cinder merges it in, the read-only flag of the admin metadata. */
export function visibleMetadata(volume: Volume): Record<string, string> {
  if (volume.readonly === undefined) return volume.metadata;
  return { ...volume.metadata, readonly: volume.readonly ? 'True' : 'False' };
}

/** `volume.attachments`: only what os-complete has been called for. */
function completedAttachments(call: CinderCall, volume: Volume): object[] {
  const seesHosts = call.caller.isAdmin || (call.serviceSeesHosts && call.caller.hasServiceRole);
  return call.cloud
    .attachmentsOf(volume.id)
    .filter((attachment) => attachment.status === 'attached')
    .map((attachment) => ({
      id: volume.id,
      attachment_id: attachment.id,
      volume_id: volume.id,
      server_id: attachment.instance,
      host_name: seesHosts ? (attachment.connector?.host ?? null) : null,
      device: attachment.connector === null ? null : (attachment.connector.mountpoint ?? 'na'),
      attached_at: attachment.attachedAt === null ? null : cinderTime(attachment.attachedAt),
    }));
}

function volumeLinks(call: CinderCall, id: string): object[] {
  const project = call.urlProject === undefined ? '' : `/${call.urlProject}`;
  return [
    { rel: 'self', href: `${call.baseUrl}/v3${project}/volumes/${id}` },
    { rel: 'bookmark', href: `${call.baseUrl}${project}/volumes/${id}` },
  ];
}

export function attachmentSummary(attachment: Attachment): object {
  const { id, status, instance, volumeId } = attachment;
  return { id, status, instance, volume_id: volumeId };
}

export function attachmentDetail(attachment: Attachment): object {
  return {
    ...attachmentSummary(attachment),
    attached_at: attachment.attachedAt === null ? '' : cinderTime(attachment.attachedAt),
    detached_at: '',
    attach_mode: attachment.mode,
    connection_info: attachment.connectionInfo,
  };
}
