import { spawn, type ChildProcess } from 'node:child_process';
import type { CinderfsError } from '../../errors.js';
import { EXIT } from '../../errors.js';
import { openLogFile } from '../process/log-file.js';
import { keepDirectories } from '../settings/settings-directories.js';
import { cloudOf, settingsOf } from '../settings/settings.js';
import type { Invocation } from '../command-line/verb.js';

/** SIGHUP: its terminal went away. */
const STOPS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** What a background child tells the command that started it, once. */
type Report =
  { readonly ready: true } | { readonly ready: false; readonly exit: number; readonly line: string };

export interface ParentReport {
  serving(): void;
  failed(error: CinderfsError): void;
  /** The failure of an engine, in the words that it has said already. */
  failedAs(exit: number, line: string): void;
}

/** The way to the command that started this process in the background; undefined in the foreground. */
export function reportToParent(): ParentReport | undefined {
  if (process.send === undefined) return undefined;
  const tell = (report: Report): void => {
    if (!process.connected) return;
    process.send?.(report);
    process.disconnect();
  };
  return {
    serving: () => tell({ ready: true }),
    failed: (error) => tell({ ready: false, exit: error.kind.exit, line: error.toLine() }),
    failedAs: (exit, line) => tell({ ready: false, exit, line }),
  };
}

/**
 * Starts the same command line in the foreground in a session of its own, its log going to log_file, and waits until
 * it serves. A failure is shown here and becomes this command's exit status (blobfuse2#1070: "exit 0, blank Error:").
 */
export async function mountInBackground(invocation: Invocation): Promise<number> {
  const settings = settingsOf(invocation);
  const { config } = settings;
  keepDirectories(config);
  const log = await openLogFile(config.log_file);
  try {
    // The daemon logs them, where the person at this terminal does not look.
    for (const warning of cloudOf(settings, invocation).warnings)
      invocation.stderr(`cinderfs: warning: ${warning}\n`);
    const args = process.argv.slice(1).filter((arg) => arg !== '--background');
    const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', log.fd, log.fd, 'ipc'] });
    // What failed is over when this command is: no process and no mount is left then.
    const ended = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
    const report = await withSignalsFor(child, () => firstReport(child));
    if (!report.ready) {
      await ended;
      invocation.stderr(`cinderfs: ${report.line}\n`);
      return report.exit;
    }
    child.unref();
    invocation.stderr(`READY ${invocation.words[0] ?? ''} (pid ${child.pid ?? 0}, log ${config.log_file})\n`);
    return EXIT.ok;
  } finally {
    await log.close();
  }
}

/** A signal to this command while it waits is meant for the mount. */
async function withSignalsFor<T>(child: ChildProcess, work: () => Promise<T>): Promise<T> {
  const pass = (): void => void child.kill('SIGTERM');
  for (const signal of STOPS) process.on(signal, pass);
  try {
    return await work();
  } finally {
    for (const signal of STOPS) process.off(signal, pass);
  }
}

function firstReport(child: ChildProcess): Promise<Report> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('message', (report) => {
      resolve(report as Report);
      if (child.connected) child.disconnect();
    });
    child.once('exit', (code, signal) =>
      resolve({
        ready: false,
        exit: code ?? EXIT.internal,
        line: `the daemon ended before it served (${signal ?? `status ${code ?? '?'}`}); see its log`,
      }),
    );
  });
}
