/** What the HTTP server and the three services say to each other. */

import type { IncomingHttpHeaders } from 'node:http';

export type ServiceName = 'keystone' | 'glance' | 'cinder';

/** One request, read whole. */
export interface Call {
  readonly method: string;
  /** Path below the service's prefix, as sent (percent-encoded): `/v3/auth/tokens`. */
  readonly path: string;
  /** Path below the version and the project, which tests, faults and the request log speak of: `/attachments/ID`. */
  readonly resource: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Parsed JSON, undefined when there was none or it did not parse. */
  readonly body: unknown;
  /** Where this service is reached: `http://127.0.0.1:8080/volume`. */
  readonly baseUrl: string;
  readonly requestId: string;
}

/** One answer. Without `json` and `file` the body is empty. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** Bytes [start, end) of a file. */
  readonly file?: { readonly path: string; readonly start: number; readonly end: number };
}

/** A double of one OpenStack API. */
export interface Service {
  readonly name: ServiceName;
  /** `/identity`, as devstack lays the services out behind one port. */
  readonly prefix: string;
  /** The part of `path` that faults and the request log match. */
  resourceOf(path: string): string;
  /** Never throws an ApiError: errors come back in this API's own dress. */
  handle(call: Call): Promise<Reply>;
  /** An error in this API's own dress, for faults on demand. */
  refuse(call: Call, error: ApiError): Reply;
}

/** An HTTP error on its way to being dressed by its service. */
export class ApiError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Not an error: the effect took place and the caller shall never hear of it. */
export class Unanswered extends Error {}

/** The first value of a header, lower-case name. */
export function header(call: Call, name: string): string | undefined {
  const value = call.headers[name];
  return Array.isArray(value) ? value[0] : value;
}
