import { CinderfsError } from '../../errors.js';
import type { CallOptions } from '../contract/calls.js';
import type { HttpAnswer } from '../http/exchange.js';
import type { Session, SessionRequest } from '../keystone/session.js';
import { isRecord, malformed, member, requiredList } from '../http/wire.js';

/** `mode` in attachment create: without it we would ask for read-write. */
export const FLOOR = 54;
/** From here on the project id in the URL is optional. */
const PROJECTLESS = 67;

/** Where Cinder v3 is and the microversion we speak with it: 3.`minor`. */
export interface VolumeApi {
  /** Up to and including the project id where there is one; no trailing slash. */
  readonly base: string;
  readonly minor: number;
}

/**
 * Asks Cinder which microversions it has and takes the highest up to `preferred` ("3.69").
 * Throws `microversion_unsupported` below 3.54.
 */
export async function negotiate(
  session: Session,
  preferred: string,
  options: CallOptions = {},
): Promise<VolumeApi> {
  const endpoint = await session.endpoint('volume', options);
  const [, root, projectPart] = /^(.*?[^/])(?:\/v\d[\d.]*(\/[^/]+)?)?$/.exec(endpoint) ?? [];
  const base = `${root ?? endpoint}/v3`;
  const answer = await session.request('volume', {
    ...options,
    method: 'GET',
    url: `${base}/`,
    repeat: 'always',
  });
  const offered = highestMinor(answer);
  if (offered < FLOOR) {
    throw new CinderfsError(
      'microversion_unsupported',
      `Cinder at ${base} offers microversions up to 3.${offered}, too few`,
      { requestId: answer.requestId },
    );
  }
  const minor = Math.max(FLOOR, Math.min(offered, Number(preferred.split('.')[1])));
  const { projectId } = await session.token(options);
  const project = projectPart ?? (minor < PROJECTLESS ? `/${projectId}` : '');
  return { base: base + project, minor };
}

function highestMinor(answer: HttpAnswer): number {
  const name = { what: "Cinder's answer to GET /v3/", requestId: answer.requestId };
  const versions = requiredList(member(answer.body, 'versions', name), 'versions', name);
  const v3 = versions.filter(isRecord).find(({ id }) => typeof id === 'string' && id.startsWith('v3'));
  const [, minor] = /^3\.(\d+)$/.exec(String(v3?.version)) ?? [];
  if (minor === undefined) throw malformed(name, 'names no microversion of v3');
  return Number(minor);
}

/** Cinder v3 as its clients call it: paths below the project, the microversion in every request. Negotiates once. */
export class VolumeEndpoint {
  readonly #session: Session;
  readonly #preferred: string;
  #api: VolumeApi | undefined;

  constructor(session: Session, preferred: string) {
    this.#session = session;
    this.#preferred = preferred;
  }

  /** What was negotiated; a failure is not kept. */
  async api(options: CallOptions = {}): Promise<VolumeApi> {
    return (this.#api ??= await negotiate(this.#session, this.#preferred, options));
  }

  async request(request: Omit<SessionRequest, 'url'> & { readonly path: string }): Promise<HttpAnswer> {
    const { path, ...rest } = request;
    const { base, minor } = await this.api({ signal: request.signal, deadlineMs: request.deadlineMs });
    return this.#session.request('volume', {
      ...rest,
      url: base + path,
      headers: { ...request.headers, 'openstack-api-version': `volume 3.${minor}` },
    });
  }

  /** True if we are admin. An admin sees only its own project unless it asks for all. */
  async isAdmin(options: CallOptions = {}): Promise<boolean> {
    return (await this.#session.token(options)).roles.has('admin');
  }

  async projectId(options: CallOptions = {}): Promise<string> {
    return (await this.#session.token(options)).projectId;
  }
}
