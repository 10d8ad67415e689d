import { BlockList, isIP } from 'node:net';
import { CinderfsError } from '../errors.js';
import { Secret } from '../secret.js';
import { textOf } from './settings.js';

/** A proxy between this host and a service. */
export interface Proxy {
  /** Without the credentials. */
  readonly url: string;
  /** `Basic ...` for Proxy-Authorization. */
  readonly authorization: Secret | undefined;
}

/** The proxies of this host's environment. */
export interface Proxies {
  readonly http: Proxy | undefined;
  readonly https: Proxy | undefined;
  /** As NO_PROXY has them; a lone `*` is all. */
  readonly except: readonly string[];
}

export const NO_PROXIES: Proxies = { http: undefined, https: undefined, except: [] };

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY as requests, and so every OpenStack client, reads them; the
 * lower-case one wins. Throws `config_invalid` for what is no http or https proxy.
 */
export function proxiesOf(env: Environment): Proxies {
  // A lower-case one that is empty takes the other away.
  const read = (name: string): string | undefined => textOf(env[name.toLowerCase()] ?? env[name]);
  const all = proxyOf('ALL_PROXY', read('ALL_PROXY'));
  const listed = textOf(env.no_proxy) ?? textOf(env.NO_PROXY) ?? '';
  const entries = listed.replaceAll(' ', '').split(',');
  return Object.freeze({
    http: proxyOf('HTTP_PROXY', read('HTTP_PROXY')) ?? all,
    https: proxyOf('HTTPS_PROXY', read('HTTPS_PROXY')) ?? all,
    // `*,` is no wildcard, and no name ends so.
    except: Object.freeze(listed === '*' ? ['*'] : entries.filter((entry) => entry !== '' && entry !== '*')),
  });
}

/** The proxy to `text`, a URL; undefined: none. */
export function proxyTo(text: string, { http, https, except }: Proxies): Proxy | undefined {
  const url = new URL(text);
  if (except[0] === '*' || isExcepted(url, except)) return undefined;
  return url.protocol === 'https:' ? https : http;
}

function proxyOf(variable: string, text: string | undefined): Proxy | undefined {
  if (text === undefined) return undefined;
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (!URL.canParse(whole) || !/^https?:\/\//i.test(whole)) {
    throw new CinderfsError('config_invalid', `${variable} does not name an http or https proxy`);
  }
  const url = new URL(whole);
  const { username, password } = url;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const named = username !== '' || password !== '';
  return {
    url: `${url.protocol}//${url.host}`,
    authorization: named ? new Secret(`Basic ${Buffer.from(pair).toString('base64')}`) : undefined,
  };
}

/**
 * An address is excepted by itself or by its network in CIDR form, a name by any ending of it, with the port or without
 * (`ack.test` excepts openstack.test: so does requests).
 */
function isExcepted({ hostname, port }: URL, exceptions: readonly string[]): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  const withPort = port === '' ? host : `${host}:${port}`;
  return exceptions.some((entry) => {
    if (isIP(host) === 4 && (host === entry || isInNetwork(host, entry))) return true;
    if (isIP(host) !== 4 && (host.endsWith(entry) || withPort.endsWith(entry))) return true;
    const label = entry.replace(/^\.+/, '').toLowerCase();
    return host === label || host.endsWith(`.${label}`);
  });
}

function isInNetwork(address: string, network: string): boolean {
  const [, base = '', bits = ''] = /^([\d.]+)\/(\d{1,2})$/.exec(network) ?? [];
  if (isIP(base) !== 4 || Number(bits) < 1 || Number(bits) > 32) return false;
  const list = new BlockList();
  list.addSubnet(base, Number(bits));
  return list.check(address);
}
