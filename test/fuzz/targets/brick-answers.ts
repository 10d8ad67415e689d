import {
  answerIn,
  deviceIn,
  propertiesIn,
  refusalIn,
} from '../../../src/attach/connectors/brick/brick-answers.js';
import {
  type BrickDevice,
  deviceIdentity,
  designator,
  deviceName,
  judgeDevice,
} from '../../../src/attach/connectors/brick/brick-identity.js';
import { SharedDevices } from '../../../src/sources/device/shared-devices.js';
import { allow, attempt, type Target } from '../target.js';

const NAA = '60014051111222233334444555566667';
const INFO = { driver_volume_type: 'iscsi', wwn: NAA, vol_uuid: 'x', volume_nguid: 'y' };
const device = (ids: readonly string[]): object => ({
  path: '/dev/sdb',
  size: 1 << 20,
  diskseq: '17',
  paths: ['sdb'],
  ids,
});
const seed = (value: object): Buffer => Buffer.from(JSON.stringify(value));
const failure = (code: string): Buffer => seed({ error: { code, message: 'sdb open in qemu (7)' } });

/** What cinderfs-brick repeats of disks, targets and os-brick. */
export const brickAnswers: Target = {
  name: 'brick-answers',
  seeds: [
    seed(device([`naa.${NAA}`, 'serial.abc', 't10.LIO vendor'])),
    seed(device([`nguid.${'0f'.repeat(16)}`, `uuid.${'1e'.repeat(16)}`, 'eui.0123456789abcdef'])),
    seed(device([])),
    seed({
      ...{ host: 'cmp1', ip: '192.0.2.9', platform: 'x86_64', os_type: 'linux', multipath: true },
      ...{ initiator: 'iqn.2026-01.test:1', wwpns: ['500a'], nqn: 'nqn.x', do_local_attach: false },
    }),
    failure('in_use'),
    failure('disk_gone'),
    failure('os_brick_missing'),
    seed({}),
  ],
  words: ['"error":', '"code":', '"ids":', 'naa.', 'uuid.', 'nguid.', 'eui.', '"diskseq":', '"constructor"'],
  open() {
    const devices = new SharedDevices();
    return (input) => {
      const text = input.toString('utf8');
      const refused = refusalIn(text);
      if (refused !== undefined) allow(refused);
      const answer = attempt(() => answerIn(text));
      if (answer === undefined) return;
      attempt(() => {
        judgeProperties(propertiesIn(answer));
      });
      const found = attempt(() => deviceIn(answer));
      if (found === undefined) return;
      attempt(() => {
        judgeDevice(found, INFO, 'volume');
      });
      judgeNames(found, devices);
    };
  },
};

function judgeProperties(properties: object): void {
  for (const key of ['host', 'ip'])
    if (typeof (properties as Record<string, unknown>)[key] !== 'string') throw new Error(`no ${key}`);
}

/** Whatever a device is called, one string tells it from others, and a reader gets the very bytes to look for. */
function judgeNames(device: BrickDevice, devices: SharedDevices): void {
  if (!device.path.startsWith('/')) throw new Error('a path from somewhere');
  if (device.ids.some((id) => !deviceIdentity(device).includes(id))) throw new Error('no identity');
  const name: string | undefined = deviceName(device);
  const tag = designator(device);
  if (tag === undefined) return;
  const bytes = Buffer.from(tag, 'hex');
  if (bytes.toString('hex') !== tag || name === undefined || !tag.endsWith(name.split('.')[1] ?? '?'))
    throw new Error(`no name in hexadecimal: ${tag}`);
  const slot = devices.publish({ directFd: 3, cachedFd: 3, tag: bytes });
  if (slot === undefined || devices.tag(slot)?.equals(bytes) !== true)
    throw new Error(`readers look for another name than ${tag}`);
  devices.withdraw(slot);
}
