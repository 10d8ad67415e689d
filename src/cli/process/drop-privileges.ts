import type { Config } from '../../config/options.js';
import { reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import {
  CAPABILITY,
  dropForChildren,
  forbidCoreDumps,
  type Capability,
} from '../../sys/processes/privileges.js';

/** What os-brick and the programs that it runs may need: modules of the kernel, device nodes, sockets of iSCSI and FC. */
const FOR_BRICK: ReadonlySet<Capability> = new Set(['sys_module', 'mknod', 'net_raw']);

/** Before the first engine is started: what engines and their children do not need they do not get. */
export function dropPrivileges({ connector }: Pick<Config, 'connector'>, log: Log): void {
  const brick = connector === 'auto' || connector === 'brick';
  const names = (Object.keys(CAPABILITY) as Capability[]).filter((name) => !brick || !FOR_BRICK.has(name));
  try {
    forbidCoreDumps();
    if (process.getuid?.() === 0) dropForChildren(names);
  } catch (error) {
    log.debug({ reason: reasonOf(error) }, 'capabilities and core dumps are left as they are');
  }
}

/** For an engine: its exec made it dumpable again. */
export function hideMemory(log: Log): void {
  try {
    forbidCoreDumps();
  } catch (error) {
    log.debug({ reason: reasonOf(error) }, 'core dumps are left as they are');
  }
}
