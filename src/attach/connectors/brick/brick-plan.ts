import { CinderfsError } from '../../../errors.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import { lunOf, secretOf, shaped } from '../../connection/backend-values.js';
import { formatOf } from '../../connection/volume-format.js';

/** What os-brick needs to find a volume on this host again, and no secret. */
export type BrickConnection = Readonly<Record<string, unknown>> & { readonly driver_volume_type: string };

type Check = (value: unknown, key: string) => unknown;

const SHAPES = {
  // A colon in the middle, as every NQN has it; never an option or a path.
  nqn: /^nqn\.[0-9]{4}-[0-9]{2}\.[A-Za-z0-9.:_-]+$/,
  wwn: /^[0-9a-fA-F]{16}$/,
  uuid: /^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/,
  transport: /^(?:tcp|rdma|RoCEv2|TCP|RDMA)$/,
  addressing: /^(?:transparent|SAM|SAM2|SAM3-flat)$/,
} as const;

/** A Map: protocols come from Cinder, and an object would know `constructor`. */
const FIELDS = new Map<string, Readonly<Record<string, Check>>>(
  Object.entries({
    iscsi: {
      target_portal: portal,
      target_iqn: iqn,
      target_lun: lunOf,
      target_portals: listOf(portal),
      target_iqns: listOf(iqn),
      target_luns: listOf(lunOf),
      addressing_mode: like('addressing'),
    },
    fibre_channel: {
      target_wwn: oneOrMore(like('wwn')),
      target_wwns: listOf(like('wwn')),
      target_lun: lunOf,
      target_luns: listOf(lunOf),
      initiator_target_map: zones,
      addressing_mode: like('addressing'),
    },
    nvmeof: {
      target_nqn: like('nqn'),
      nqn: like('nqn'),
      host_nqn: like('nqn'),
      vol_uuid: like('uuid'),
      volume_nguid: like('uuid'),
      ns_id: lunOf,
      target_portal: (value, key) => shaped(value, key, 'host'),
      target_port: (value, key) => shaped(value, key, 'port'),
      transport_type: like('transport'),
      portals: listOf(nvmePortal),
    },
  }),
);

/** Secrets and what goes with them: needed to connect, never kept. */
const CHAP = ['auth_method', 'auth_username', 'auth_password'];
const DISCOVERY_CHAP = ['discovery_auth_method', 'discovery_auth_username', 'discovery_auth_password'];

export function brickSpeaks(protocol: string): boolean {
  return FIELDS.has(familyOf(protocol));
}

/**
 * The fields of connection_info that os-brick acts on, each of the shape it must have: they become arguments of programs
 * that run as root, and Cinder's database is not root here.
 */
export function brickPlan(info: ConnectionInfo): BrickConnection {
  const protocol = info.driver_volume_type;
  const fields = FIELDS.get(familyOf(protocol));
  if (fields === undefined)
    throw new CinderfsError('protocol_unsupported', `the brick connector does not speak ${protocol}`);
  formatOf(info);
  const kept = Object.entries(fields).flatMap(([key, check]) => {
    const value = info[key];
    return value === undefined || value === null ? [] : [[key, check(value, key)] as const];
  });
  const plan = { driver_volume_type: protocol, ...Object.fromEntries(kept) } as BrickConnection;
  refuseGuessing(plan);
  return plan;
}

/** The same with its secrets, for the one moment of connecting. */
export function withSecrets(plan: BrickConnection, info: ConnectionInfo): BrickConnection {
  const secrets = [...CHAP, ...DISCOVERY_CHAP].flatMap((key) => {
    const value = secretOf(info, key);
    return value === undefined ? [] : [[key, value] as const];
  });
  return { ...plan, ...Object.fromEntries(secrets) };
}

/** os-brick would take "the device that appeared", or a namespace number that targets use again. */
function refuseGuessing(plan: BrickConnection): void {
  if (familyOf(plan.driver_volume_type) !== 'nvmeof') return;
  if (plan.vol_uuid === undefined && plan.volume_nguid === undefined)
    throw new CinderfsError(
      'protocol_unsupported',
      'Cinder names neither uuid nor nguid of the NVMe namespace, so nothing tells it from another',
    );
}

function familyOf(protocol: string): string {
  if (protocol === 'iser') return 'iscsi';
  return protocol === 'nvme' ? 'nvmeof' : protocol;
}

function like(shape: keyof typeof SHAPES): Check {
  return (value, key) => {
    if (typeof value === 'string' && SHAPES[shape].test(value)) return value;
    throw new CinderfsError('connector_failed', `connection_info.${key} is not a ${shape}`);
  };
}

function portal(value: unknown, key: string): string {
  return shaped(value, key, 'portal');
}

function iqn(value: unknown, key: string): string {
  return shaped(value, key, 'iqn');
}

function listOf(check: Check): Check {
  return (value, key) => {
    if (Array.isArray(value)) return value.map((each: unknown) => check(each, key));
    throw new CinderfsError('connector_failed', `connection_info.${key} is not a list`);
  };
}

function oneOrMore(check: Check): Check {
  return (value, key) => (Array.isArray(value) ? listOf(check)(value, key) : check(value, key));
}

function nvmePortal(value: unknown, key: string): unknown {
  const [host, port, transport] = listOf((each) => each)(value, key) as unknown[];
  return [shaped(host, key, 'host'), shaped(port, key, 'port'), like('transport')(transport, key)];
}

/** Initiator WWPN -> target WWPNs. */
function zones(value: unknown, key: string): unknown {
  const entries = Object.entries(value as object).map(([initiator, targets]) => [
    like('wwn')(initiator, key),
    listOf(like('wwn'))(targets, key),
  ]);
  return Object.fromEntries(entries) as unknown;
}
