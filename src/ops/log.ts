import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as Pino from 'pino';
import type * as PinoPretty from 'pino-pretty';
import { reasonOf } from '../errors.js';
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

/** Where packages are loaded from when they are needed: a supervisor may never write a line, and pino takes 4 MiB. */
const load = createRequire(import.meta.url);

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/**
 * The product's log. Writes are synchronous: the last line before a crash is the one that matters. Three nets, each for
 * what passes the one before: fields by name and errors by an allow-list (log-fields.ts), every secret that this process
 * knows by its value, and whatever would move a terminal's cursor.
 */
export function createLog(options: LogOptions): Log {
  let made: Log | undefined;
  const least = LEVELS.indexOf(options.level);
  const write =
    (level: LogLevel) =>
    (fields: object, message: string): void => {
      if (LEVELS.indexOf(level) < least) return;
      try {
        made ??= loadLog(options);
      } catch (error) {
        // No descriptor is left to load it with, or the package was removed: the line matters more than its form.
        writePlain(options, { level, ...loggable({ ...fields, log: reasonOf(error) }), msg: message });
        return;
      }
      made[level](fields, message);
    };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

function writePlain({ fd = 2 }: LogOptions, line: object): void {
  writeSync(fd, `${printableJson(knownSecrets.hide(JSON.stringify(line)))}\n`);
}

function loadLog({ level, format, fd = 2 }: LogOptions): Log {
  const { destination, pino, stdTimeFunctions } = load('pino') as typeof Pino;
  const sink = destination({ fd, sync: true });
  const forPeople = format === 'json' ? undefined : prettyPrinter();
  const write = (line: string): void => {
    const safe = knownSecrets.hide(line);
    sink.write(forPeople === undefined ? printableJson(safe) : printable(forPeople(safe)));
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

function prettyPrinter(): ReturnType<typeof PinoPretty.prettyFactory> {
  const { prettyFactory } = load('pino-pretty') as typeof PinoPretty;
  return prettyFactory({ colorize: false, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' });
}
