/** How settings are read. */
import { inClouds, inFiles, inVariables, textOf } from './rewrites.js';
import type { Rule } from './rules.js';
import { isNull, isScalar, plain, quoted } from './tree.js';

const BOOLEANS = new Set(['verify', 'insecure']);
const WORDS = /^(true|false|yes|no|on|off)$/i;

export const VALUE_RULES: readonly Rule[] = [
  {
    name: 'text as written',
    reason:
      'a password or id 0123, 1e3 or yes is that text, which PyYAML makes a number, a date or a boolean of',
    rewrite: inFiles((key, value) => [
      key,
      isScalar(value) && !isNull(value) && !BOOLEANS.has(key) ? quoted(value.text) : value,
    ]),
  },
  {
    name: 'words for booleans',
    reason: 'verify and insecure are true or false whether the word is quoted or stands in a variable',
    rewrite: (given) =>
      inVariables((name, value) => [
        name,
        name === 'OS_INSECURE' && WORDS.test(value) ? String(/^(true|yes|on)$/i.test(value)) : value,
      ])(
        inFiles((key, value) => [
          key,
          BOOLEANS.has(key) && isScalar(value) && WORDS.test(value.text)
            ? plain(value.text.toLowerCase())
            : value,
        ])(given),
      ),
  },
  {
    name: 'homes in verify',
    reason: 'where verify names a bundle, ~ is a home there as it is in cacert',
    rewrite: inClouds((cloud) => {
      const { verify, ...rest } = cloud;
      if (textOf(verify) === undefined || WORDS.test(textOf(verify) ?? '')) return cloud;
      return { cacert: verify ?? quoted(''), ...rest };
    }),
  },
  {
    name: 'nothing is nothing',
    reason: 'null and an empty text leave a setting unset, openstacksdk sends None',
    rewrite: (given) =>
      inVariables((name, value) => (value === '' ? undefined : [name, value]))(
        inFiles((key, value) =>
          isNull(value) || (isScalar(value) && value.text === '') ? undefined : [key, value],
        )(given),
      ),
  },
  {
    name: 'dashes are underscores',
    reason: 'in every key; openstacksdk knows them in some',
    rewrite: inFiles((key, value) => [
      /^(public-clouds|<<.*|.*&.*)$/.test(key) ? key : key.replaceAll('-', '_'),
      value,
    ]),
  },
  {
    name: 'tenant_id in overrides',
    reason: 'the older name of project_id, as in the catalog',
    rewrite: inFiles((key, value) => [
      key,
      isScalar(value) ? { ...value, text: value.text.replace('%(tenant_id)s', '%(project_id)s') } : value,
    ]),
  },
  {
    name: 'spaces after commas',
    reason: 'in a list of regions they belong to no name',
    rewrite: inFiles((key, value) => [
      key,
      key === 'region_name' && isScalar(value) ? quoted(value.text.replaceAll(', ', ',')) : value,
    ]),
  },
  {
    name: 'authorities of the environment',
    reason:
      'SSL_CERT_FILE, as OpenSSL and curl do, and OS_CACERT beside clouds.yaml, as openstackclient does',
    rewrite: (given) => {
      const { OS_CACERT, REQUESTS_CA_BUNDLE, SSL_CERT_FILE, ...env } = given.env;
      const beside = Object.keys(given.files).length > 0 ? OS_CACERT : undefined;
      const bundle = beside ?? REQUESTS_CA_BUNDLE ?? SSL_CERT_FILE;
      return {
        ...given,
        env: {
          ...env,
          ...(OS_CACERT === undefined || beside !== undefined ? {} : { OS_CACERT }),
          ...(bundle === undefined ? {} : { REQUESTS_CA_BUNDLE: bundle }),
        },
      };
    },
  },
];
