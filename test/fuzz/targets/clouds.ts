import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadCloud } from '../../../src/config/cloud.js';
import { loadConfig } from '../../../src/config/load.js';
import { Secret } from '../../../src/secret.js';
import { temporaryFolder } from '../../support/temporary.js';
import { SEPARATOR } from '../edit.js';
import { attempt, type Target } from '../target.js';

const AUTH = { auth_url: 'http://k/v3', username: 'u', password: 'pass-word-1', project_name: 'p' };
const YAML = `clouds:
  c:
    auth: &auth
      auth_url: https://k:5000/v3
      username: u
      password: 'pass-word-1'
      project_name: p
    region_name: R
    profile: vendor
    verify: false
    cacert: /ca.pem
    interface: [internal, public]
    block_storage_endpoint_override: https://c/v3/%(project_id)s
  d:
    auth:
      <<: *auth
      project_domain_name: Default
    auth_type: password
    regions: [{name: A, values: {identity_api_version: 3}}, B]
`;

/** clouds.yaml and secure.yaml, as YAML and as JSON. */
export const clouds: Target = {
  name: 'clouds',
  seeds: [
    Buffer.from(`${YAML}${SEPARATOR}clouds: {c: {auth: {password: pass-word-2}}}\n`),
    Buffer.from(
      `${JSON.stringify({ clouds: { c: { auth: AUTH, region_name: 'R' } } })}${SEPARATOR}${JSON.stringify({ clouds: { c: { auth: { password: 'x' } } } })}`,
    ),
    Buffer.from(
      `${JSON.stringify({ clouds: { c: { auth_type: 'v3applicationcredential', auth: { auth_url: 'http://k', application_credential_id: 'i', application_credential_secret: 's' } } } })}${SEPARATOR}`,
    ),
    Buffer.from(
      `a: &a [x, x, x]\nb: &b [*a, *a, *a]\nclouds:\n  c: {auth: {auth_url: http://k/v3}, x: *b}\n${SEPARATOR}`,
    ),
  ],
  words: [
    ...[
      'clouds:',
      'c:',
      'auth:',
      '- ',
      '  ',
      '\n',
      '&a ',
      '*a',
      '<<: *auth',
      '!!str ',
      '!!binary ',
      '!!set ',
      '|',
      '>',
      '? ',
    ],
    ...[
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '#',
      '~',
      'null',
      '%YAML 1.2\n---\n',
      '---\n',
      '...',
      '\t',
      SEPARATOR,
      '\u{feff}',
    ],
    ...[
      'auth_type: ',
      'v3token',
      'regions:',
      'profile: c',
      'auth_url: ',
      'http://[',
      '{name}',
      '%(a)s',
      '$(b)s',
      '{',
      '}',
    ],
    ...[
      '__proto__: ',
      'constructor: ',
      'cert: ',
      'verify: ',
      'endpoint_type: ',
      'user_domain_id: ',
      'project_id: ',
    ],
  ],
  async open(undo) {
    const root = await temporaryFolder(undo);
    const home = path.join(root, 'home');
    const folder = path.join(home, '.config', 'openstack');
    mkdirSync(folder, { recursive: true });
    const env = { HOME: home, XDG_CONFIG_DIRS: path.join(root, 'site') };
    return (input) => {
      const [cloudsText = '', secureText = ''] = input.toString('latin1').split(SEPARATOR);
      writeFileSync(path.join(folder, 'clouds.yaml'), Buffer.from(cloudsText, 'latin1'), { mode: 0o600 });
      writeFileSync(path.join(folder, 'secure.yaml'), Buffer.from(secureText, 'latin1'), { mode: 0o600 });
      for (const name of ['c', 'd']) {
        const flags = { 'config-file': '/dev/null', 'os-cloud': name };
        attempt(() => {
          const loaded = loadConfig({ flags, env, directory: root, uid: 65_534 });
          const cloud = loadCloud({ loaded, env, directory: path.join(root, 'cwd'), uid: 65_534 });
          if (!('password' in cloud.auth ? cloud.auth.password : cloud.auth.secret instanceof Secret))
            throw new Error('a cloud without a secret');
          JSON.stringify(cloud);
        });
      }
      if (Reflect.has({}, 'auth') || Reflect.has({}, 'auth_url'))
        throw new Error('every object has a new property');
    };
  },
};
