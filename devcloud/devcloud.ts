/** The embedded cloud: Keystone, Glance and Cinder on one port, over real HTTP, volumes as files under a directory. */

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';

import { CinderfsError, reasonOf } from '../src/errors.js';
import { adminApi } from './admin-api.js';
import { cinder } from './cinder.js';
import { Faults } from './faults.js';
import { glance } from './glance.js';
import { environmentFor, USERS } from './identity.js';
import { ImageShelf, type ImageBytes } from './image-shelf.js';
import type { ImageSpec } from './image-spec.js';
import { keystone } from './keystone.js';
import { AdminFaults } from './admin-faults.js';
import { Cloud, type Image } from './model.js';
import { RequestLog } from './request-log.js';
import { createCloudServer } from './server.js';
import { StateFile } from './state-file.js';
import { Tokens } from './tokens.js';

export interface DevcloudOptions {
  /** Holds images/ (put files there), volumes/ and state.json. Made if missing. */
  readonly dir: string;
  /** 0 (default): any free one. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Lifetime of tokens; default an hour. */
  readonly tokenTtlSeconds?: number;
  /** Page size of every listing, default and largest. Default: as Glance (25, at most 1000) and Cinder (1000). */
  readonly pageLimit?: number;
  /** Whether volumes of new images are multiattach unless their spec says; default true. */
  readonly multiattach?: boolean;
  /** Length of volume files unless their spec says: whole GiB (default) or exactly the image. */
  readonly volumeBytes?: 'gib' | 'exact';
  /** Glance's show_multiple_locations and show_image_direct_url; default true. */
  readonly showLocations?: boolean;
  /** Whether Glance has the locations API; default true. */
  readonly locationsApi?: boolean;
  /** Glance's delayed_delete: the record goes at once, the volume when a scrubber can delete it; default false. */
  readonly delayedDelete?: boolean;
  /** Whether the service role sees attachments[].host_name, as in new releases; default true. */
  readonly serviceSeesHosts?: boolean;
}

/** A running cloud. */
export interface Devcloud {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  /** The OS_* variables of the operator's user. */
  readonly env: Readonly<Record<string, string>>;
  /** The same for another of the users in identity.ts. */
  envFor(user: keyof typeof USERS): Record<string, string>;
  /** What exists, to assert on. */
  readonly cloud: Cloud;
  readonly faults: Faults;
  readonly requests: RequestLog;
  readonly tokens: Tokens;
  readonly adminFaults: AdminFaults;
  addImage(spec: ImageSpec, bytes?: ImageBytes): Promise<Image>;
  /** Cuts every connection and frees the port; idempotent. The directory stays. */
  close(): Promise<void>;
}

/** Starts a cloud. Throws a `config_invalid` CinderfsError: directory not usable, port in use, bad sidecar or state. */
export async function startDevcloud(options: DevcloudOptions): Promise<Devcloud> {
  const cloud = new Cloud();
  const tokens = new Tokens(options.tokenTtlSeconds ?? 3600);
  const faults = new Faults();
  const log = new RequestLog();
  const shelf = new ImageShelf(cloud, options.dir, {
    multiattach: options.multiattach ?? true,
    volumeBytes: options.volumeBytes ?? 'gib',
  });
  const state = new StateFile(join(options.dir, 'state.json'), cloud);
  await shelf.prepare();
  await state.load();
  for (const volume of cloud.volumes.values()) volume.path = shelf.pathOf(volume.id); // DIR may have moved
  await shelf.scan();
  await state.save();

  let url = '';
  const root = (): string => url;
  const adminFaults = new AdminFaults(cloud, shelf);
  const shared = { cloud, tokens, faults, shelf };
  const services = [
    keystone(tokens, root),
    glance({ ...shared, ...glanceOptions(options) }),
    cinder({
      ...shared,
      pageLimit: options.pageLimit ?? 1000,
      serviceSeesHosts: options.serviceSeesHosts ?? true,
    }),
  ];
  const admin = adminApi({ ...shared, adminFaults, log, state });
  const server = createCloudServer({ services, admin, faults, log, state, tokens, root });
  const port = await listen(server, options);
  url = `http://${urlHost(options.host ?? '127.0.0.1')}:${port}`;

  // Volumes are files, which a mount serves from directories that it is told.
  const environmentOf = (user: keyof typeof USERS): Record<string, string> => ({
    ...environmentFor(url, USERS[user]),
    CINDERFS_LOCAL_DIRECTORIES: dirname(shelf.pathOf('volume')),
  });
  return {
    url,
    port,
    env: environmentOf('cinderfs'),
    envFor: environmentOf,
    cloud,
    faults,
    requests: log,
    tokens,
    adminFaults,
    // Saved with the next reply or at close(): a test may add thousands.
    addImage: (spec, bytes) => shelf.add(spec, bytes),
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      if (existsSync(options.dir)) await state.save(); // a test may have removed it already
    },
  };
}

function glanceOptions(options: DevcloudOptions): {
  defaultLimit: number;
  maxLimit: number;
  showLocations: boolean;
  locationsApi: boolean;
  delayedDelete: boolean;
} {
  return {
    defaultLimit: options.pageLimit ?? 25,
    maxLimit: options.pageLimit ?? 1000,
    showLocations: options.showLocations ?? true,
    locationsApi: options.locationsApi ?? true,
    delayedDelete: options.delayedDelete ?? false,
  };
}

async function listen(
  server: ReturnType<typeof createCloudServer>,
  { port = 0, host = '127.0.0.1' }: DevcloudOptions,
): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    const why = reasonOf(error);
    throw new CinderfsError('config_invalid', `cannot listen on ${host}:${port}: ${why}`, {
      cause: error,
      remedy: 'Choose another --port, or 0 for any free one.',
    });
  }
  return (server.address() as AddressInfo).port;
}

const urlHost = (host: string): string => (host.includes(':') ? `[${host}]` : host);
