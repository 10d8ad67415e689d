import { destination, pino, stdTimeFunctions } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { knownSecrets } from '../known-secrets.js';
import type { Log } from '../log.js';
import { printable, printableJson } from '../printable.js';
import { loggable } from './log-fields.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** `json` for journald and log shippers, `text` for people. */
export type LogFormat = 'json' | 'text';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** File descriptor; stderr by default: stdout is for data. */
  readonly fd?: number;
}

/** A log whose level can be changed while it runs. */
export interface LevelledLog extends Log {
  level: string;
}

/**
 * The product's log. Writes are synchronous: the last line before a crash is the one that matters. Three nets, each for
 * what passes the one before: fields by name and errors by an allow-list (log-fields.ts), every secret that this process
 * knows by its value, and whatever would move a terminal's cursor.
 */
export function createLog({ level, format, fd = 2 }: LogOptions): LevelledLog {
  const sink = destination({ fd, sync: true });
  const forPeople = prettyFactory({
    colorize: false,
    ignore: 'pid,hostname',
    translateTime: 'SYS:HH:MM:ss.l',
  });
  const write = (line: string): void => {
    const safe = knownSecrets.hide(line);
    sink.write(format === 'json' ? printableJson(safe) : printable(forPeople(safe)));
  };
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: loggable },
    },
    { write },
  );
}
