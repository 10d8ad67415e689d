import { findImage, type GlanceCall } from './glance-images.js';
import { ApiError, type Reply } from './service.js';

/** `GET /v2/images/ID/file`: Glance attaches the volume, so it fails while another holder has a single-attach one. */
export function download(call: GlanceCall, { id = '' }: Record<string, string>): Reply {
  const image = findImage(call, id);
  if (image.status === 'deactivated' && !call.caller.isAdmin) {
    const message = 'The requested image has been deactivated. Image data download is forbidden.';
    throw new ApiError(403, message);
  }
  const volume = call.cloud.volumes.get(image.volumeId ?? '');
  if (volume === undefined || image.size === null) return { status: 204 };
  if (volume.status !== 'available' && !(volume.multiattach && volume.status === 'in-use')) {
    // The real one retries for 24 s first; the answer is the same.
    throw new ApiError(
      500,
      'The server has either erred or is incapable of performing the requested operation.',
    );
  }
  const range = rangeOf(call, image.size);
  const [start, end] = range ?? [0, image.size];
  const headers: Record<string, string> = {
    'Content-Type': 'application/octet-stream',
    ...(range === undefined ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${image.size}` }),
    ...(range === undefined && image.checksum !== null ? { 'Content-MD5': image.checksum } : {}),
  };
  return { status: range === undefined ? 200 : 206, headers, file: { path: volume.path, start, end } };
}

/** [start, end) of a `Range: bytes=a-b` header, undefined without one; ApiError 416 when it misses the image. */
function rangeOf(call: GlanceCall, size: number): [number, number] | undefined {
  const header = call.headers.range;
  if (header === undefined) return undefined;
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(header) ?? [];
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size : Math.min(size, Number(to) + 1);
  if ((from === '' && to === '') || start >= end) {
    throw new ApiError(416, 'The requested range is not satisfiable.');
  }
  return [start, end];
}
