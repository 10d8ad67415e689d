import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import type { TlsConfig } from '../../config/cloud-config.js';
import { CinderfsError } from '../../errors.js';

/** Where distributions keep the authorities of the system, which curl and Debian's requests trust. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Files of a directory of authorities, and bytes of one: a directory that was not meant must not be read whole. */
const MOST_FILES = 2000;
const MOST_BYTES = 2 ** 20;

/**
 * Trusted authorities and our own certificate, for TLS. Made once: it holds every authority of the system. Throws `config_invalid` for
 * a file that cannot be read or holds no certificate.
 */
export function secureContext({ cacert, extra, cert, key }: TlsConfig): SecureContext {
  const authorities = [
    ...(cacert === undefined ? systemAuthorities() : authoritiesAt(cacert)),
    ...(extra === undefined ? [] : authoritiesAt(extra)),
  ];
  try {
    return createSecureContext({
      ca: authorities,
      ...(cert === undefined ? {} : { cert: read(cert, 'the client certificate') }),
      // A file with both, as curl and requests take it.
      ...(cert === undefined ? {} : { key: read(key ?? cert, "the client certificate's key") }),
    });
  } catch (cause) {
    if (CinderfsError.is(cause)) throw cause;
    const path = cert ?? cacert;
    throw new CinderfsError('config_invalid', `cannot use the certificates of ${path ?? 'the system'}`, {
      path,
      cause,
    });
  }
}

/** The system's, or those that come with Node.js where it has none. */
function systemAuthorities(): readonly string[] {
  for (const path of SYSTEM_BUNDLES) {
    try {
      const bundle = readFileSync(path, 'utf8');
      if (holdsCertificate(bundle)) return [bundle];
    } catch {
      // The next distribution's place.
    }
  }
  return rootCertificates;
}

/** A bundle, or a directory with one certificate per file. */
function authoritiesAt(path: string): readonly string[] {
  const bundles = isDirectory(path) ? inDirectory(path) : [read(path, 'cacert')];
  const found = bundles.filter(holdsCertificate);
  if (found.length > 0) return found;
  throw new CinderfsError('config_invalid', `cacert ${path} holds no certificate`, { path });
}

function inDirectory(directory: string): readonly string[] {
  return readdirSync(directory)
    .slice(0, MOST_FILES)
    .map((name) => join(directory, name))
    .filter((path) => {
      const found = statSync(path, { throwIfNoEntry: false });
      return found?.isFile() === true && found.size <= MOST_BYTES;
    })
    .map((path) => readFileSync(path, 'utf8'));
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function holdsCertificate(text: string): boolean {
  return /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/.test(text);
}

function read(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new CinderfsError('config_invalid', `cannot read ${what} ${path}`, { path, cause });
  }
}
