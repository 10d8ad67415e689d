import type { Log } from '../../../src/log.js';

/** `log`, with how often that was said. */
export function countingLog(log: Log, message: string): { readonly log: Log; readonly count: () => number } {
  let said = 0;
  return {
    count: () => said,
    log: {
      debug: (fields, text) => {
        said += Number(text === message);
        log.debug(fields, text);
      },
      info: (fields, text) => log.info(fields, text),
      warn: (fields, text) => log.warn(fields, text),
      error: (fields, text) => log.error(fields, text),
    },
  };
}
