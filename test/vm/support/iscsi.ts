import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { eventually } from '../../support/eventually.js';
import type { ConnectionInfo } from '../../../src/cinder/contract/attachments.js';
import type { Chap } from '../targets/lio.js';
import { loadModules, sh } from './command.js';

export const CHAP: Chap = { user: 'cinder', password: 'correct-horse-battery' };
/** As the file has it: one line, InitiatorName=... */
export const INITIATOR = readFileSync('/etc/iscsi/initiatorname.iscsi', 'utf8').trim().split('=')[1] ?? '';

/** The target's and the initiator's modules, and the initiator's daemon. */
export async function startIscsi(): Promise<void> {
  loadModules('target_core_mod', 'target_core_file', 'iscsi_target_mod', 'iscsi_tcp', 'sd_mod');
  mkdirSync('/run/lock/iscsi', { recursive: true });
  sh('iscsid');
  await eventually('iscsid answers', () => Promise.resolve(answers() ? true : undefined));
}

/** The initiator notices a dead portal in seconds instead of two minutes; new node records take it over. */
export function quickSessions(): void {
  writeFileSync(
    '/etc/iscsi/iscsid.conf',
    `node.session.timeo.replacement_timeout = 2
node.conn[0].timeo.noop_out_interval = 1
node.conn[0].timeo.noop_out_timeout = 2
node.session.initial_login_retry_max = 2
`,
  );
}

export interface Export {
  readonly iqn: string;
  readonly portals: readonly string[];
  readonly lun: number;
}

/** connection_info as Cinder's iSCSI drivers give it: the first portal alone, and all of them in lists. */
export function iscsiInfo({ iqn, portals, lun }: Export): ConnectionInfo {
  const many = {
    target_portals: portals,
    target_iqns: portals.map(() => iqn),
    target_luns: portals.map(() => lun),
  };
  return {
    driver_volume_type: 'iscsi',
    target_discovered: false,
    target_portal: portals[0],
    target_iqn: iqn,
    target_lun: lun,
    ...(portals.length > 1 ? many : {}),
    auth_method: 'CHAP',
    auth_username: CHAP.user,
    auth_password: CHAP.password,
  };
}

function answers(): boolean {
  try {
    sh('iscsiadm', '-m', 'session');
    return true;
  } catch (error) {
    // 21: there are no sessions, and that was iscsid's answer.
    return (error as { status?: number }).status === 21;
  }
}
