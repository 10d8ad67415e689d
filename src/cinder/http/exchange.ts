/** One call and its answer, as the clients write the one and read the other. */
import type { CallOptions } from '../contract/calls.js';

/** Whether a call may be sent again after an answer was lost: `always` if it has no second effect, `unsent` if it has one. */
export type Repeat = 'always' | 'unsent';

export interface HttpRequest extends CallOptions {
  /** For errors: "Cinder", "Glance", "Keystone". */
  readonly service: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly repeat: Repeat;
  /** Statuses besides 2xx that are answers, not errors. */
  readonly accept?: readonly number[];
  /** Retries, where they differ from the client's. */
  readonly retries?: number;
  /** The largest body that is read, in bytes; MAX_ANSWER_BYTES when absent. */
  readonly maxBytes?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Parsed JSON; undefined when there was no body. */
  readonly body: unknown;
  readonly requestId: string;
  /** Of the body, as it came. */
  readonly bytes?: number;
}

/** An answer before its body is parsed. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: HttpAnswer['headers'];
  readonly text: string;
  readonly bytes?: number;
  readonly requestId: string;
}

/** The header's first value; names are lower case. */
export function headerOf(headers: HttpAnswer['headers'], name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}
