import type { Reply } from './service.js';

export type Params = Readonly<Record<string, string>>;

/** One operation of an API. `C` is what the service hands its operations. */
export interface Route<C> {
  readonly method: string;
  /** `/attachments/{id}/action`; a placeholder stands for one path segment. */
  readonly template: string;
  /** Cinder: the minor of the microversion that brought it. */
  readonly since?: number;
  readonly run: (context: C, params: Params) => Reply | Promise<Reply>;
}

export interface Match<C> {
  readonly route: Route<C>;
  readonly params: Params;
}

/** The first route of `routes` that takes `method` on `path`; literal segments must come before placeholders. */
export function findRoute<C>(
  routes: readonly Route<C>[],
  method: string,
  path: string,
): Match<C> | undefined {
  const segments = path.split('/').filter((segment) => segment !== '');
  for (const route of routes) {
    const params = route.method === method ? matchTemplate(route.template, segments) : undefined;
    if (params !== undefined) return { route, params };
  }
  return undefined;
}

function matchTemplate(template: string, segments: readonly string[]): Params | undefined {
  const pattern = template.split('/').filter((segment) => segment !== '');
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const actual = segments[index] ?? '';
    if (expected.startsWith('{')) params[expected.slice(1, -1)] = decode(actual);
    else if (expected !== actual) return undefined;
  }
  return params;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // a stray '%' names nothing we have: it ends in 404
  }
}
