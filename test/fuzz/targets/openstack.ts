import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { AttachmentsClient } from '../../../src/cinder/volumes/attachments.js';
import { ClonesClient } from '../../../src/cinder/volumes/clones.js';
import { ImageCatalog } from '../../../src/cinder/catalog/catalog.js';
import { Http } from '../../../src/cinder/http/http.js';
import { Images } from '../../../src/cinder/glance/images.js';
import { VolumeEndpoint } from '../../../src/cinder/volumes/microversion.js';
import { Session } from '../../../src/cinder/keystone/session.js';
import { VolumesClient } from '../../../src/cinder/volumes/volumes.js';
import type { CloudConfig } from '../../../src/config/cloud-config.js';
import { NO_PROXIES } from '../../../src/config/proxies.js';
import { Secret } from '../../../src/secret.js';
import { fastClock } from '../../fakes/fast-clock.js';
import { uuid } from '../../support/fake-cloud.js';
import type { Undo } from '../../support/undo.js';
import { SEPARATOR } from '../edit.js';
import { attemptLater, watchedLog, type Run, type Target } from '../target.js';
import { cloud, FAULT, head, HOST, PARTS } from './openstack-answers.js';

/** The answers of one cloud, each as bytes of HTTP; every question is answered by the part of its kind. */
export const openstack: Target = {
  name: 'openstack',
  seeds: [
    cloud({}),
    ...PARTS.map((part) => cloud({ [part]: `${head('400 Bad Request')}${JSON.stringify(FAULT)}` })),
    cloud({ login: `${head('401 Unauthorized')}${JSON.stringify({ error: { message: 'no', code: 401 } })}` }),
  ],
  words: [
    ...[
      'HTTP/1.1 ',
      '200 OK',
      '201',
      '204',
      '300',
      '302 Found\r\nLocation: http://x/',
      '401',
      '404',
      '429',
      '500',
      '\r\n',
      '\r\n\r\n',
    ],
    ...[
      'Content-Length: 5\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Content-Encoding: gzip\r\n',
      'Retry-After: 99999999999\r\n',
    ],
    ...[
      '"next":',
      '"marker"',
      'null',
      '[',
      ']',
      '{',
      '}',
      '<head',
      "key='",
      'password: "',
      '\\u0000',
      '"id":',
      'HTTP/1.1 100\r\n\r\n',
      SEPARATOR,
    ],
    ...[
      'X-Subject-Token: \r\n',
      'http://',
      'cinder://',
      '"v3.0"',
      '"3.999"',
      '1e400',
      '9007199254740993',
      '<script>',
    ],
  ],
  open,
};

async function open(undo: Undo): Promise<Run> {
  let parts: readonly Buffer[] = [];
  let asked = 0;
  const server = createServer((peer) =>
    serve(peer, (path) => {
      asked += 1;
      return parts[partOf(path)] ?? Buffer.alloc(0);
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.after(() => new Promise((resolve) => server.close(resolve)));
  const origin = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return async (input) => {
    asked = 0;
    // Of the same length, so that a length that was told stays true. What names another host goes nowhere.
    const text = input.toString('latin1').replaceAll(HOST, origin);
    parts = text.split(SEPARATOR).map((part) => Buffer.from(part, 'latin1'));
    await use(origin);
    if (asked > 400) throw new Error(`it asked ${asked} times`);
  };
}

function serve(peer: Socket, answer: (path: string) => Buffer): void {
  peer.on('error', () => undefined);
  let question = '';
  const hear = (bytes: Buffer): void => {
    question += bytes.toString('latin1');
    if (!question.includes('\r\n\r\n')) return;
    peer.off('data', hear);
    peer.resume();
    peer.end(answer(/^\S+ (\S+)/.exec(question)?.[1] ?? ''));
  };
  peer.on('data', hear);
}

function partOf(path: string): number {
  const [place = ''] = path.split('?');
  if (place.endsWith('/auth/tokens')) return PARTS.indexOf('login');
  if (place.endsWith('/v3/')) return PARTS.indexOf('versions');
  if (place.endsWith('/images')) return PARTS.indexOf('images');
  return place.endsWith('/volumes/detail') ? PARTS.indexOf('volumes') : PARTS.indexOf('other');
}

/** Every call that a mount makes. */
async function use(origin: string): Promise<void> {
  const { log, check } = watchedLog();
  const clock = fastClock(50);
  const config = cloudAt(origin);
  const http = new Http({
    tls: config.tls,
    clock,
    log,
    timeoutMs: 60_000,
    retries: 1,
    backoff: { baseMs: 0, capMs: 0 },
  });
  const session = new Session({ cloud: config, http, clock, log, timeoutMs: 60_000 });
  const volumeEndpoint = new VolumeEndpoint(session, '3.69');
  const images = new Images(session, 100);
  const volumes = new VolumesClient(volumeEndpoint, 100);
  const catalog = new ImageCatalog({ images, volumes, clock, log, ttlMs: 60_000_000 });
  const attachments = new AttachmentsClient({ endpoint: volumeEndpoint, clock, timeoutMs: 60_000 });
  const clones = new ClonesClient(volumeEndpoint);
  const connector = { host: 'h', ip: '192.0.2.1', platform: 'x86_64', os_type: 'linux', multipath: false };
  const calls: (() => Promise<unknown>)[] = [
    () => catalog.start(),
    () => images.show(uuid(1)),
    () => images.locations(uuid(1)),
    () => volumes.show(uuid(6)),
    () => attachments.create(uuid(6)),
    () => attachments.update(uuid(5), connector),
    () => attachments.complete(uuid(5)),
    () => attachments.listForVolume(uuid(6)),
    () => attachments.delete(uuid(5)),
    () => clones.multiattachTypes(),
    () => clones.named('cinderfs-clone'),
  ];
  try {
    for (const call of calls) judge(await attemptLater(call));
    for (const image of catalog.snapshot.images.values()) judgeImage(image);
  } finally {
    catalog.stop();
    await http.close();
  }
  check();
}

function cloudAt(origin: string): CloudConfig {
  const service = {
    endpointOverride: undefined,
    region: undefined,
    interfaces: ['public' as const],
    serviceName: undefined,
  };
  return {
    name: 'test',
    source: 'test',
    authUrl: `http://${origin}`,
    auth: {
      method: 'password',
      user: { name: 'u', domain: { id: 'default' } },
      password: new Secret('pass-word-1'),
      project: { name: 'p', domain: { id: 'default' } },
    },
    image: { ...service, serviceType: 'image' },
    volume: { ...service, serviceType: 'block-storage' },
    tls: { verify: true, cacert: undefined, cert: undefined, key: undefined },
    proxies: NO_PROXIES,
    warnings: [],
  };
}

/** A secret of an answer is sealed, wherever it stood. */
function judge(answer: unknown): void {
  if (JSON.stringify(answer ?? null).includes('chap-secret')) throw new Error('a secret can be printed');
}

function judgeImage({
  size,
  id,
  volumeId,
}: {
  readonly size: number;
  readonly id: string;
  readonly volumeId: string;
}): void {
  if (!Number.isSafeInteger(size) || size <= 0) throw new Error(`an image of ${size} bytes`);
  if (/[/\0]/.test(id + volumeId)) throw new Error(`an id that is a path: ${id} ${volumeId}`);
}
