import { createHash } from 'node:crypto';
import type { Clock } from '../../async/clock.js';
import type { CloudConfig } from '../../config/cloud-config.js';
import { reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';

export interface CredentialsOptions {
  readonly cloud: CloudConfig;
  /** What the settings say now; throws where they cannot be read any more. Absent: they cannot change. */
  readonly reread?: (() => CloudConfig) | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** While logins fail, an open reads the settings again, but not more often than this. */
const LOOK_MS = 1_000;

/** Where and with what to log in: as it was read last. Settings that are gone or broken change nothing. */
export class Credentials {
  readonly #options: CredentialsOptions;
  #cloud: CloudConfig;
  #lookAgainAt = -Infinity;
  #saidWhy: string | undefined;

  constructor(options: CredentialsOptions) {
    this.#options = options;
    this.#cloud = options.cloud;
  }

  get cloud(): CloudConfig {
    return this.#cloud;
  }

  /** Reads the settings again, at most once a second unless `now`; true where they give other credentials than before. */
  renewed({ now = false } = {}): boolean {
    const { reread, clock, log } = this.#options;
    if (reread === undefined || (!now && clock.now() < this.#lookAgainAt)) return false;
    this.#lookAgainAt = clock.now() + LOOK_MS;
    const found = this.#read(reread);
    if (found === undefined || fingerprint(found) === fingerprint(this.#cloud)) return false;
    // Services and certificates are those of the start: they may not change under open files.
    this.#cloud = { ...this.#cloud, authUrl: found.authUrl, auth: found.auth };
    log.info({ cloud: found.name, source: found.source }, 'the credentials changed; the new ones are used');
    return true;
  }

  #read(reread: () => CloudConfig): CloudConfig | undefined {
    try {
      const found = reread();
      this.#saidWhy = undefined;
      return found;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== this.#saidWhy) {
        this.#options.log.warn({ reason }, 'the settings cannot be read again; those of the start are kept');
      }
      this.#saidWhy = reason;
      return undefined;
    }
  }
}

/** Differs where another login would be sent; holds no secret. */
function fingerprint({ authUrl, auth }: CloudConfig): string {
  const { method, ...rest } = auth;
  const secret = auth.method === 'password' ? auth.password : auth.secret;
  return createHash('sha256')
    .update(JSON.stringify([authUrl, method, rest, secret.reveal()]))
    .digest('hex');
}
