import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname, machine, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { ConnectorProperties } from '../../cinder/contract/attachments.js';
import { keepDirectory } from '../../sys/files/kept-directory.js';
import { readKeptSync, replaceKept } from '../../sys/files/kept-file.js';
import { OsloConf } from './oslo-conf.js';

/** Bytes of an initiator's name (RFC 3720), and its line's end. */
const MAX_NAME = 224;

export interface HostIdentity {
  /** Keeps an initiator name of our own where the host has none. */
  readonly stateDir: string;
  /** Tells our mounts on this host apart. */
  readonly mountId: string;
  /** Override what the host says about itself. */
  readonly host?: string | undefined;
  readonly ip?: string | undefined;
  readonly initiator?: string | undefined;
  readonly novaConf?: string | undefined;
  readonly initiatorFile?: string | undefined;
}

/**
 * What this host tells Cinder about itself. Follows nova.conf where there is one: drivers decide by host string and
 * initiator whether a LUN is still needed here, so two names for one host make them unmap it under the other service.
 */
export async function hostProperties(
  identity: HostIdentity,
): Promise<ConnectorProperties & { readonly initiator: string }> {
  const nova = await OsloConf.read(identity.novaConf ?? '/etc/nova/nova.conf');
  const address = nova.get('DEFAULT', 'my_block_storage_ip') ?? nova.get('DEFAULT', 'my_ip');
  const host = identity.host ?? nova.get('DEFAULT', 'host') ?? hostname();
  return {
    host,
    ip: identity.ip ?? address ?? firstAddress(),
    platform: machine(),
    os_type: 'linux',
    multipath: false,
    initiator: identity.initiator ?? (await initiatorName(identity)),
    mountpoint: `cinderfs:${host}:${identity.mountId}`,
    mode: 'ro',
  };
}

function firstAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.1';
}

/** The host's own initiator name, else one of ours that stays the same for ever. */
async function initiatorName({ initiatorFile, stateDir }: HostIdentity): Promise<string> {
  const system = await readFile(initiatorFile ?? '/etc/iscsi/initiatorname.iscsi', 'utf8').catch(() => '');
  const name = /^\s*InitiatorName\s*=\s*(\S+)/m.exec(system)?.[1];
  if (name !== undefined) return name;
  const path = join(stateDir, 'initiatorname');
  const own = readKeptSync(path, MAX_NAME)?.toString('utf8').trim() ?? '';
  if (/^\S+$/.test(own)) return own;
  const made = `iqn.2026-01.org.cinderfs:${randomBytes(6).toString('hex')}`;
  keepDirectory({ setting: 'state_dir', path: stateDir, mode: 0o700 });
  await replaceKept(path, `${made}\n`);
  return made;
}
