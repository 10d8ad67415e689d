import { CinderfsError, type ErrorCode } from '../../errors.js';

/** Bytes of an answer; the status of a mount with ten thousand images has a tenth of it. */
const MOST_BYTES = 64 * 2 ** 20;

/** The JSON that a daemon answered; undefined where it is none, or more than a daemon says. */
export async function answerIn(body: AsyncIterable<Uint8Array>): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** The error that a daemon answered (ControlFailure), of any version; undefined where it answered something else. */
export function failureIn(answer: unknown): CinderfsError | undefined {
  const { code, message, remedy } = recordOf(recordOf(answer).error);
  if (typeof code !== 'string' || typeof message !== 'string') return undefined;
  return new CinderfsError(code as ErrorCode, message, typeof remedy === 'string' ? { remedy } : {});
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
