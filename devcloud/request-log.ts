import { globPattern } from './faults.js';
import type { ServiceName } from './service.js';

/** One request as it was answered. */
export interface LoggedRequest {
  readonly service: ServiceName;
  readonly method: string;
  /** Below version and project: `/attachments/ID`. */
  readonly resource: string;
  /** Query string without the question mark, '' if none. */
  readonly query: string;
  /** HTTP status; 0 when the connection was cut or never answered. */
  status: number;
  readonly requestId: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Which requests to count; what is absent matches all. `resource` may hold `*`. */
export interface RequestFilter {
  readonly service?: ServiceName;
  readonly method?: string;
  readonly resource?: string;
}

/** Beyond this the oldest are forgotten: a soak must not eat the memory. */
const KEPT = 20_000;

/** What was asked of this cloud: tests assert that `ls` asks nothing, and that 16 opens ask for one attachment. */
export class RequestLog {
  #entries: LoggedRequest[] = [];

  get entries(): readonly LoggedRequest[] {
    return this.#entries;
  }

  add(entry: LoggedRequest): LoggedRequest {
    this.#entries.push(entry);
    if (this.#entries.length > KEPT) this.#entries = this.#entries.slice(-KEPT / 2);
    return entry;
  }

  clear(): void {
    this.#entries = [];
  }

  find(filter: RequestFilter = {}): LoggedRequest[] {
    const resource = filter.resource === undefined ? undefined : globPattern(filter.resource);
    return this.#entries.filter(
      (entry) =>
        (filter.service ?? entry.service) === entry.service &&
        (filter.method ?? entry.method).toUpperCase() === entry.method &&
        (resource?.test(entry.resource) ?? true),
    );
  }

  count(filter: RequestFilter = {}): number {
    return this.find(filter).length;
  }

  /** `{'cinder POST /attachments': 3, ...}`; ids are folded into `*`. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { service, method, resource } of this.#entries) {
      const key = `${service} ${method} ${resource.replaceAll(/\/[0-9a-f]{8}-?[0-9a-f-]{23,27}(?=\/|$)/g, '/*')}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return counts;
  }
}
