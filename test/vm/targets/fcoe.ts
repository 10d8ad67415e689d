import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.js';
import { loadModules, sh } from '../support/command.js';
import { FcTarget } from './lio.js';

/** The two wired cards of `vm -F`. FCoE makes a port's name from the card's address. */
const CARDS = { initiator: '52:54:00:00:0f:01', target: '52:54:00:00:0f:02' };

export interface Fabric {
  /** WWPN of this host's adapter, as Cinder writes it. */
  readonly initiator: string;
  readonly wwpn: string;
  readonly target: FcTarget;
}

/**
 * A Fibre Channel host and a target without hardware: FCoE between two Ethernet cards, libfc on one, LIO on the other.
 * `fill` maps the LUNs: the target must be whole before the links come up, or libfc hears "no target" and never asks
 * again.
 */
export async function startFabric(fill: (target: FcTarget) => void): Promise<Fabric> {
  loadModules('e1000', 'target_core_mod', 'target_core_file', 'tcm_fc', 'fcoe', 'sd_mod');
  const cards = { initiator: await cardOf(CARDS.initiator), target: await cardOf(CARDS.target) };
  for (const card of Object.values(cards))
    sh('ip', 'link', 'set', card, 'mtu', '2500', 'up', 'promisc', 'on');
  const [initiator, wwpn] = [wwpnOf(CARDS.initiator), wwpnOf(CARDS.target)];
  const target = new FcTarget(wwpn, initiator);
  fill(target);
  startLink(cards.target);
  startLink(cards.initiator);
  await eventually('both adapters are online', () => Promise.resolve(online() === 2 ? true : undefined));
  await eventually('the target is known', () => Promise.resolve(sees(wwpn) ? true : undefined));
  return { initiator, wwpn, target };
}

function startLink(card: string): void {
  writeFileSync('/sys/bus/fcoe/ctlr_create', card);
  const controllers = readdirSync('/sys/bus/fcoe/devices')
    .filter((name) => name.startsWith('ctlr_'))
    .map((name) => realpathSync(join('/sys/bus/fcoe/devices', name)));
  const controller = controllers.find((path) => path.includes(`/net/${card}/`));
  if (controller === undefined) throw new Error(`no FCoE controller on ${card}`);
  writeFileSync(join(controller, 'mode'), 'VN2VN');
  writeFileSync(join(controller, 'enabled'), '1');
}

function online(): number {
  const hosts = readdirSync('/sys/class/fc_host');
  return hosts.filter((host) => read(`/sys/class/fc_host/${host}/port_state`) === 'Online').length;
}

function sees(wwpn: string): boolean {
  const ports = readdirSync('/sys/class/fc_remote_ports').map((port) => `/sys/class/fc_remote_ports/${port}`);
  return ports.some(
    (port) => read(`${port}/port_name`) === `0x${wwpn}` && read(`${port}/roles`).includes('Target'),
  );
}

async function cardOf(address: string): Promise<string> {
  return eventually(`the card ${address}`, () =>
    Promise.resolve(
      readdirSync('/sys/class/net').find((name) => read(`/sys/class/net/${name}/address`) === address),
    ),
  );
}

function wwpnOf(address: string): string {
  return `2000${address.replaceAll(':', '')}`;
}

function read(path: string): string {
  return readFileSync(path, 'utf8').trim();
}
