/** Clouds, environments and service catalogs as operators write them, and as they get them wrong. */
import fc from 'fast-check';
import { catalog } from './catalogs.js';
import { isScalar, plain, quoted, type Mapping, type Tree } from './tree.js';
import {
  bool,
  formattedUrls,
  override,
  path,
  region,
  scalar,
  side,
  sides,
  some,
  type,
  urls,
} from './values.js';

export interface Case {
  /** File below the case's own folder -> content. */
  readonly files: Readonly<Record<string, Mapping>>;
  /** `ROOT` in a value stands for that folder. */
  readonly env: Readonly<Record<string, string>>;
  readonly catalog: readonly object[];
}

const who = {
  username: scalar,
  user_name: scalar,
  user_id: scalar,
  project_name: scalar,
  project_id: scalar,
  tenant_name: scalar,
};
const domains = {
  domain_id: scalar,
  domain_name: scalar,
  default_domain_id: scalar,
  default_domain_name: scalar,
  user_domain_id: scalar,
  user_domain_name: scalar,
  project_domain_id: scalar,
  project_domain_name: scalar,
};
const credential = {
  application_credential_id: scalar,
  application_credential_name: scalar,
  application_credential_secret: scalar,
};
const url = fc.oneof({ weight: 9, arbitrary: urls }, { weight: 1, arbitrary: formattedUrls }).map(quoted);

/** Enough to log in, and then whatever else. */
const auth = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(url, scalar, scalar, scalar, some({ ...who, ...domains }))
      .map(([auth_url, username, password, project_name, more]) => ({
        ...{ auth_url, username, password, project_name },
        ...more,
      })),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(url, scalar, scalar, some({ ...credential, ...domains, username: scalar }))
      .map(([auth_url, id, secret, more]) => ({
        ...{ auth_url, application_credential_id: id, application_credential_secret: secret },
        ...more,
      })),
  },
  {
    weight: 1,
    arbitrary: some({
      ...{ auth_url: url, password: scalar, ...who, ...domains, ...credential },
      ...{
        'user-domain-name': scalar,
        'project-name': scalar,
        system_scope: scalar,
        trust_id: scalar,
        token: scalar,
      },
      frobnicate: scalar,
    }),
  },
);

const services = some(
  Object.fromEntries(
    ['image', 'block_storage', 'volumev3', 'volumev2', 'volume'].flatMap(
      (name): [string, fc.Arbitrary<Tree>][] => [
        [`${name}_endpoint_override`, override.map(quoted)],
        [`${name}_region_name`, region.map(quoted)],
        [`${name}_interface`, sides],
        [`${name}_endpoint_type`, side.map(quoted)],
        [`${name}_service_name`, fc.constantFrom('glance', 'cinder', 'cinderv3').map(quoted)],
        [`${name}_service_type`, type.map(quoted)],
        [`${name}_api_version`, fc.constantFrom(plain('3'), quoted('3'), plain('3.69'))],
      ],
    ),
  ),
);

const regions = fc.oneof(
  region.map((name): Mapping => ({ region_name: quoted(name) })),
  fc.constantFrom('R1,R2', 'R2, R1').map((list): Mapping => ({ region_name: quoted(list) })),
  fc.subarray(['R1', 'R2', 'R3'], { minLength: 1 }).chain((names) =>
    some({ image_interface: sides, interface: sides, image_endpoint_override: override.map(quoted) }).map(
      (values): Mapping => ({
        regions: names.map((name, index): Tree =>
          index === 0 ? { name: quoted(name), values } : quoted(name),
        ),
      }),
    ),
  ),
  fc.constant<Mapping>({}),
);

const cloud = fc
  .tuple(
    auth,
    regions,
    fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: services }),
    some({
      auth_type: fc
        .constantFrom(
          'password',
          'v3password',
          'v3applicationcredential',
          'v3oidcpassword',
          'application_credential',
        )
        .map(quoted),
      interface: sides,
      endpoint_type: side.map(quoted),
      'endpoint-type': side.map(quoted),
      verify: fc.oneof(bool, path.map(quoted)),
      insecure: bool,
      cacert: path.map(quoted),
      cert: path.map(quoted),
      key: path.map(quoted),
      profile: fc.constantFrom('vendor', 'nobody').map(quoted),
      identity_api_version: fc.constantFrom(plain('3'), quoted('3')),
    }),
    some({ project_name: scalar, username: scalar, user_domain_name: scalar, password: scalar }),
    fc.nat(5),
  )
  .map(([inAuth, inRegions, inServices, rest, outside, odd]): Mapping => ({
    auth: inAuth,
    ...inRegions,
    ...inServices,
    ...rest,
    ...(odd === 0 ? outside : {}),
  }));

const place = fc.constantFrom('cwd', 'home/.config/openstack', 'site/openstack');
const secure = fc.option(
  some({ password: scalar, application_credential_secret: scalar, username: scalar }),
  { freq: 2 },
);
const vendor = some({ auth_url: url, user_domain_name: scalar });

const inFiles = fc
  .tuple(
    cloud,
    fc.option(cloud, { freq: 2 }),
    secure,
    vendor,
    place,
    place,
    fc.constantFrom('yaml', 'yml', 'json'),
    fc.nat(3),
  )
  .map(([one, two, secret, profile, where, whereSecure, suffix, merge]): Case => {
    const clouds: Mapping = { one, ...(two === null ? {} : { two }) };
    const files: Record<string, Mapping> = {
      [`${where}/clouds.${suffix === 'json' ? 'yaml' : suffix}`]:
        merge === 0 ? merging(one, clouds) : { clouds },
      'site/openstack/clouds-public.yaml': {
        'public-clouds': { vendor: { auth: profile, region_name: quoted('R3') } },
      },
    };
    if (secret !== null) files[`${whereSecure}/secure.yaml`] = { clouds: { one: { auth: secret } } };
    return { files, env: two === null ? {} : { OS_CLOUD: 'one' }, catalog: [] };
  });

/** The same cloud with most of it behind a merge key, in one of its two forms. */
function merging(one: Mapping, clouds: Mapping): Mapping {
  const { auth: inner, ...outer } = one;
  return {
    'base: &base': outer,
    'more: &more': { image_endpoint_override: quoted('http://merged.test'), interface: quoted('internal') },
    clouds: {
      ...clouds,
      one: { ...('interface' in outer ? { '<<*base': [] } : { '<<[*base, *more]': [] }), auth: inner ?? {} },
    },
  };
}

const variables = some({
  OS_AUTH_URL: url,
  OS_USERNAME: scalar,
  OS_PASSWORD: scalar,
  OS_PROJECT_NAME: scalar,
  OS_TENANT_NAME: scalar,
  OS_USER_DOMAIN_NAME: scalar,
  OS_PROJECT_DOMAIN_ID: scalar,
  OS_DEFAULT_DOMAIN: scalar,
  OS_INTERFACE: side.map(quoted),
  OS_ENDPOINT_TYPE: side.map(quoted),
  OS_IDENTITY_API_VERSION: fc.constant(quoted('3')),
  OS_CACERT: path.map(quoted),
  OS_INSECURE: bool,
  OS_VOLUME_API_VERSION: fc.constant(quoted('3')),
  OS_TEST_PATH: scalar,
});

const fromVariables = fc
  .tuple(url, scalar, scalar, scalar, variables, fc.option(region, { freq: 2 }))
  .map(([auth_url, username, password, project, more, name]): Case => {
    const base = {
      OS_AUTH_URL: auth_url,
      OS_USERNAME: username,
      OS_PASSWORD: password,
      OS_PROJECT_NAME: project,
    };
    const all = Object.entries({ ...base, ...more }).map(([key, value]) => [
      key,
      isScalar(value) ? value.text : '',
    ]);
    return {
      files: {},
      env: {
        ...(Object.fromEntries(all) as Record<string, string>),
        ...(name === null ? {} : { OS_REGION_NAME: name }),
      },
      catalog: [],
    };
  });

const around = some({
  OS_REGION_NAME: region.map(quoted),
  OS_CACERT: fc.constant(quoted('ROOT/os-ca.pem')),
  REQUESTS_CA_BUNDLE: fc.constant(quoted('ROOT/requests.pem')),
  SSL_CERT_FILE: fc.constant(quoted('ROOT/ssl.pem')),
}).map((tree) =>
  Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, isScalar(value) ? value.text : ''])),
);

/** A configuration and a catalog. */
export const cases: fc.Arbitrary<Case> = fc
  .tuple(
    fc.oneof({ weight: 4, arbitrary: inFiles }, { weight: 1, arbitrary: fromVariables }),
    fc.oneof(
      { weight: 2, arbitrary: fc.constant<Record<string, string>>({}) },
      { weight: 1, arbitrary: around },
    ),
    catalog,
  )
  .map(([chosen, more, services]) => ({
    ...chosen,
    env: { ...chosen.env, ...more },
    // Keystone's answers are JSON: what is undefined is not there.
    catalog: JSON.parse(JSON.stringify(services)) as object[],
  }));
