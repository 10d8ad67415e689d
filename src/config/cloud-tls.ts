import type { TlsConfig } from './cloud-config.js';
import { homePath } from './home-path.js';
import { booleanOf, textOf } from './settings.js';
import { requireTrusted, untrusted, Untrusted } from './trusted-file.js';

/** Variables that name authorities for every program of a kind: requests, curl, OpenSSL. */
const BUNDLES = ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'SSL_CERT_FILE'] as const;

export interface TlsSources {
  /** A setting of the cloud, its placeholders filled. */
  readonly setting: (key: string) => string | undefined;
  /** OS_CACERT, where the cloud is not made of the variables. */
  readonly cacert: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** The uid that reads them: root (0) trusts no certificate that other users can write. */
  readonly uid: number | undefined;
}

/**
 * Which authorities to trust: `insecure` overrides everything; `verify` may name a bundle, as for requests; then `cacert`, the
 * variables, and at last the authorities of the system. Paths are absolute, homes are found. Throws `config_invalid`.
 */
export function tlsOf({ setting, cacert, env, directory, uid }: TlsSources): TlsConfig {
  const at = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : homePath(path, directory, env.HOME);
  const verify = setting('verify');
  const verified = verify === undefined ? true : (booleanOf(verify) ?? verify);
  const bundle = BUNDLES.map((name) => textOf(env[name])).find((path) => path !== undefined);
  const named = setting('cacert') ?? (typeof verified === 'string' ? verified : undefined);
  const tls = {
    verify: booleanOf(setting('insecure')) !== true && verified !== false,
    cacert: at(named ?? cacert ?? bundle),
    extra: at(textOf(env.NODE_EXTRA_CA_CERTS)),
    cert: at(setting('cert')),
    key: at(setting('key')),
  };
  for (const file of [tls.cacert, tls.extra, tls.cert, tls.key])
    if (file !== undefined) requireOwnFile(file, uid);
  return tls;
}

function requireOwnFile(path: string, uid: number | undefined): void {
  try {
    requireTrusted(path, uid);
  } catch (error) {
    if (error instanceof Untrusted) throw untrusted(path, error);
    // What is not there is told when it is read.
  }
}
