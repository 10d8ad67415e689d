import { CinderfsError } from '../../errors.js';
import type { DaemonStatus } from '../../ops/status.js';
import { ControlClient } from './control-client.js';

/** The daemons that answer; the socket of one that died is not worth an error. */
export async function runningDaemons(runDir: string): Promise<readonly DaemonStatus[]> {
  const clients = await ControlClient.all(runDir);
  const reports = await Promise.all(
    clients.map((client) =>
      client.get<DaemonStatus>('/status').catch((error: unknown) => {
        if (CinderfsError.is(error) && error.code === 'not_running') return undefined;
        throw error;
      }),
    ),
  );
  return reports.filter((report) => report !== undefined);
}
