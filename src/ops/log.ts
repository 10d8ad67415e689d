import { destination, pino, stdTimeFunctions } from 'pino';
import { default as pretty } from 'pino-pretty';
import type { Log } from '../log.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** `json` for journald and log shippers, `text` for people. */
export type LogFormat = 'json' | 'text';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** File descriptor; stderr by default: stdout is for data. */
  readonly fd?: number;
}

/** Whatever a layer may put in a field by mistake: these never reach a sink. */
const SECRETS = [
  'password',
  'secret',
  'token',
  'auth_password',
  'auth_username',
  'discovery_auth_password',
  'keyring',
  'connection_info',
  'connectionInfo',
  'application_credential_secret',
];

/** A log whose level can be changed while it runs. */
export interface LevelledLog extends Log {
  level: string;
}

/** The product's log. Writes are synchronous: the last line before a crash is the one that matters. */
export function createLog({ level, format, fd = 2 }: LogOptions): LevelledLog {
  const sink =
    format === 'json'
      ? destination({ fd, sync: true })
      : pretty({
          destination: fd,
          sync: true,
          colorize: false,
          ignore: 'pid,hostname',
          translateTime: 'SYS:HH:MM:ss.l',
        });
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
    },
    sink,
  );
}
