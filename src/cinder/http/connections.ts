/** Connections to OpenStack: over TLS as the cloud says, through a proxy where the environment says so. */
import type { buildConnector } from 'undici';
import { Agent, ProxyAgent, type Dispatcher } from 'undici';
import type { TlsConfig } from '../../config/cloud-config.js';
import { proxyTo, type Proxies, type Proxy } from '../../config/proxies.js';
import { secureContext } from './certificates.js';

/** Tokens of federated users list their groups: beyond Node's 16 KiB. */
const MAX_HEADER_BYTES = 256 * 2 ** 10;
const CONNECT_TIMEOUT_MS = 10_000;

const COMMON = {
  maxHeaderSize: MAX_HEADER_BYTES,
  // Deadline is the caller's to keep: these would end a PUT that Cinder answers after a minute.
  headersTimeout: 0,
  bodyTimeout: 0,
};

/**
 * `kept` connections are used again. A server may close one just as we send: harmless where a call can be repeated;
 * where it cannot, we would never know whether it took effect, so such calls get a `fresh` one of their own.
 */
const KINDS = {
  kept: { ...COMMON, keepAliveTimeout: 4000, connections: 16 },
  fresh: { ...COMMON, pipelining: 0 },
};

type TlsOptions = buildConnector.BuildOptions;

export class Connections {
  readonly #proxies: Proxies;
  readonly #tls: () => TlsOptions;
  readonly #made = new Map<string, Dispatcher>();

  /** Throws `config_invalid` for certificates that cannot be read. */
  constructor(tls: TlsConfig, proxies: Proxies) {
    this.#proxies = proxies;
    let options: TlsOptions | undefined;
    this.#tls = () => (options ??= tlsOptions(tls));
    // What the operator named is read at once; the authorities of the system, when they are first needed.
    if (tls.cacert !== undefined || tls.cert !== undefined) this.#tls();
  }

  /** The connections that a call to `url` goes over. */
  to(url: string, kind: keyof typeof KINDS): Dispatcher {
    const proxy = proxyTo(url, this.#proxies);
    const secure = url.startsWith('https:') || proxy?.url.startsWith('https:') === true;
    const name = [kind, secure, proxy?.url].join(' ');
    const made = this.#made.get(name) ?? this.#make(kind, secure, proxy);
    this.#made.set(name, made);
    return made;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#made.values()].map((dispatcher) => dispatcher.destroy()));
  }

  #make(kind: keyof typeof KINDS, secure: boolean, proxy: Proxy | undefined): Dispatcher {
    const tls = { timeout: CONNECT_TIMEOUT_MS, ...(secure ? this.#tls() : {}) };
    if (proxy === undefined) return new Agent({ ...KINDS[kind], connect: tls });
    const token = proxy.authorization?.reveal();
    return new ProxyAgent({
      ...KINDS[kind],
      uri: proxy.url,
      ...(token === undefined ? {} : { token }),
      requestTls: tls,
      proxyTls: tls,
      // Plain http goes to the proxy as requests sends it, not through a tunnel, which proxies allow to port 443 only.
      proxyTunnel: false,
    });
  }
}

function tlsOptions(tls: TlsConfig): TlsOptions {
  return { rejectUnauthorized: tls.verify, secureContext: secureContext(tls) };
}
