import { backoffDelay, type BackoffPolicy } from '../../async/backoff.js';
import { sleep, type Clock } from '../../async/clock.js';
import { CinderfsError, type ErrorContext } from '../../errors.js';
import { Secret } from '../../secret.js';
import { Deadline } from '../http/call-deadline.js';
import type { HttpAnswer } from '../http/exchange.js';
import type { VolumeEndpoint } from './microversion.js';
import type { CallOptions } from '../contract/calls.js';
import type {
  Attachment,
  Attachments,
  ConnectionInfo,
  ConnectorProperties,
} from '../contract/attachments.js';
import {
  isRecord,
  isUuid,
  malformed,
  member,
  optionalText,
  requiredList,
  type AnswerName,
} from '../http/wire.js';

/** Calls that wait for cinder-volume: its RPC timeout is 60 s, and its answer must still reach us. */
const BACKEND_TIMEOUT_MS = 90_000;
/** Detaching is never given up lightly: a volume left attached blocks others. */
const DELETE_RETRIES = 6;
const UPDATE_ATTEMPTS = 4;
const UPDATE_BACKOFF: BackoffPolicy = { baseMs: 500, capMs: 5000 };

export interface AttachmentsOptions {
  readonly endpoint: VolumeEndpoint;
  readonly clock: Clock;
  /** Milliseconds for a call that does not wait for a backend. */
  readonly timeoutMs: number;
}

/** Cinder's attachments API, always read-only. */
export class AttachmentsClient implements Attachments {
  readonly #endpoint: VolumeEndpoint;
  readonly #clock: Clock;
  readonly #backendTimeoutMs: number;

  constructor({ endpoint, clock, timeoutMs }: AttachmentsOptions) {
    this.#endpoint = endpoint;
    this.#clock = clock;
    this.#backendTimeoutMs = Math.max(timeoutMs, BACKEND_TIMEOUT_MS);
  }

  /** Reserves the volume. Throws `conflict` while its state forbids that, `attach_refused` if Cinder never will. */
  async create(volumeId: string, options: CallOptions = {}): Promise<Attachment> {
    const request = {
      ...options,
      method: 'POST',
      path: '/attachments',
      body: { attachment: { volume_uuid: volumeId, mode: 'ro' } },
      repeat: 'unsent',
    } as const;
    const answer = await this.#endpoint.request(request).catch((error: unknown) => {
      throw reserveError(CinderfsError.from(error), volumeId);
    });
    return attachmentIn(answer, "Cinder's answer to POST /attachments");
  }

  /**
   * Exports the volume to this host. An answer that was lost is looked for in the attachment itself; without one the
   * call is repeated, because Cinder takes the same connector again. Throws `attach_refused` with Cinder's reason.
   */
  async update(
    attachmentId: string,
    connector: ConnectorProperties,
    options: CallOptions = {},
  ): Promise<Attachment> {
    const deadline = new Deadline(this.#clock, options.deadlineMs ?? this.#backendTimeoutMs, options.signal);
    try {
      for (let attempt = 0; ; attempt++) {
        const started = this.#clock.now();
        const outcome = await this.#tryUpdate(attachmentId, connector, deadline);
        if ('attachment' in outcome) return outcome.attachment;
        const again = outcome.ambiguous && mayPass(outcome.error, attempt, this.#clock.now() - started);
        if (attempt + 1 >= UPDATE_ATTEMPTS || !again) throw refusal(outcome.error, attachmentId);
        await sleep(this.#clock, backoffDelay(UPDATE_BACKOFF, attempt), deadline.signal).catch(() => {
          throw deadline.explain(refusal(outcome.error, attachmentId));
        });
      }
    } finally {
      deadline.end();
    }
  }

  async complete(attachmentId: string, options: CallOptions = {}): Promise<void> {
    await this.#endpoint.request({
      ...options,
      method: 'POST',
      path: `${pathOf(attachmentId)}/action`,
      body: { 'os-complete': null },
      repeat: 'always',
    });
  }

  async show(attachmentId: string, options: CallOptions = {}): Promise<Attachment> {
    const path = pathOf(attachmentId);
    const answer = await this.#endpoint.request({ ...options, method: 'GET', path, repeat: 'always' });
    return attachmentIn(answer, "Cinder's answer to GET /attachments");
  }

  /** The attachments of one volume, of all owners. An admin asks for those of other projects, too. */
  async listForVolume(volumeId: string, options: CallOptions = {}): Promise<readonly Attachment[]> {
    const query = new URLSearchParams({ volume_id: volumeId });
    if (await this.#endpoint.isAdmin(options)) query.set('all_tenants', '1');
    const path = `/attachments/detail?${query.toString()}`;
    const answer = await this.#endpoint.request({ ...options, method: 'GET', path, repeat: 'always' });
    const name = { what: "Cinder's answer to GET /attachments/detail", requestId: answer.requestId };
    return requiredList(member(answer.body, 'attachments', name), 'attachments', name).map((entry) =>
      attachmentOf(entry, name),
    );
  }

  async delete(attachmentId: string, options: CallOptions = {}): Promise<void> {
    await this.#endpoint.request({
      ...options,
      deadlineMs: options.deadlineMs ?? this.#backendTimeoutMs,
      method: 'DELETE',
      path: pathOf(attachmentId),
      repeat: 'always',
      retries: DELETE_RETRIES,
      accept: [404],
    });
  }

  async #tryUpdate(id: string, connector: ConnectorProperties, deadline: Deadline): Promise<UpdateOutcome> {
    const left = { signal: deadline.signal, deadlineMs: deadline.leftMs };
    const request = {
      ...left,
      method: 'PUT',
      path: pathOf(id),
      body: { attachment: { connector } },
      repeat: 'unsent',
    } as const;
    try {
      return {
        attachment: attachmentIn(
          await this.#endpoint.request(request),
          "Cinder's answer to PUT /attachments",
        ),
      };
    } catch (thrown) {
      const error = CinderfsError.from(thrown);
      if (deadline.over) throw deadline.explain(error);
      if (!isAmbiguous(error)) return { error, ambiguous: false };
      const shown = await this.show(id, { signal: deadline.signal, deadlineMs: deadline.leftMs });
      if (shown.connectionInfo !== undefined) return { attachment: shown };
      return { error, ambiguous: true };
    }
  }
}

type UpdateOutcome =
  { readonly attachment: Attachment } | { readonly error: CinderfsError; readonly ambiguous: boolean };

/** True if the call may have taken effect all the same. */
function isAmbiguous({ context, code }: CinderfsError): boolean {
  return code === 'http_failed' && (context.status === undefined || context.status >= 500);
}

/**
 * Whether asking again may help. A 500 is the driver's word and is doubted once; one that took long was a backend that
 * is down and would take as long again.
 */
function mayPass({ context }: CinderfsError, attempt: number, tookMs: number): boolean {
  return context.status !== 500 || (attempt === 0 && tookMs < 10_000);
}

/** Cinder's two sentences for "not now": reserved or attached by another, see api.attachment_create. */
const TRANSITIONAL = /status must be available or (in-use or )?downloading to reserve/;

function reserveError(error: CinderfsError, volume: string): CinderfsError {
  const context: ErrorContext = { ...error.context, volume, cause: error };
  if (error.context.status !== 400 && error.context.status !== 413) {
    return new CinderfsError(error.code, error.message, context);
  }
  return new CinderfsError(
    TRANSITIONAL.test(error.message) ? 'conflict' : 'attach_refused',
    error.message,
    context,
  );
}

function refusal(error: CinderfsError, attachment: string): CinderfsError {
  const context: ErrorContext = { ...error.context, attachment, cause: error };
  const refused = error.context.status === 400 || error.context.status === 500;
  return new CinderfsError(refused ? 'attach_refused' : error.code, error.message, context);
}

function pathOf(attachmentId: string): string {
  return `/attachments/${encodeURIComponent(attachmentId)}`;
}

function attachmentIn(answer: HttpAnswer, what: string): Attachment {
  const name = { what, requestId: answer.requestId };
  return attachmentOf(member(answer.body, 'attachment', name), name);
}

function attachmentOf(entry: unknown, name: AnswerName): Attachment {
  if (!isRecord(entry) || !isUuid(entry.id) || !isUuid(entry.volume_id)) {
    throw malformed(name, 'is not an attachment');
  }
  const mode = entry.attach_mode;
  return {
    id: entry.id,
    volumeId: entry.volume_id,
    status: optionalText(entry.status) ?? '',
    attachMode: mode === 'ro' || mode === 'rw' ? mode : undefined,
    instanceId: optionalText(entry.instance),
    connectionInfo: connectionInfoOf(entry.connection_info),
  };
}

/** Before the connector is known it is null or empty. */
function connectionInfoOf(value: unknown): ConnectionInfo | undefined {
  if (!isRecord(value)) return undefined;
  const protocol = optionalText(value.driver_volume_type);
  if (protocol === undefined) return undefined;
  return { ...sealed(value), driver_volume_type: protocol };
}

/** With a Secret for each text below a name that says so, at any depth: CHAP passwords, keyrings. */
function sealed(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(record).map(([key, value]) => [
      key,
      SECRET_NAME.test(key) ? hidden(value) : opened(value),
    ]),
  );
}

function opened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(opened);
  return isRecord(value) ? sealed(value) : value;
}

function hidden(value: unknown): unknown {
  if (typeof value === 'string') return new Secret(value);
  if (Array.isArray(value)) return value.map(hidden);
  return isRecord(value)
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, hidden(item)]))
    : value;
}

const SECRET_NAME = /pass|secret(?!_type$|_uuid$)|keyring|_key$|^key$|token/i;
