import fc from 'fast-check';
import { region, type } from './values.js';

const endpoint = fc
  .record({
    interface: fc.constantFrom('public', 'internal', 'admin'),
    region_id: fc.option(region, { nil: undefined }),
    region: fc.option(region, { nil: undefined }),
    host: fc.nat(999),
    path: fc.constantFrom('', '/', '/v3', '/v3/the-project', '/v2/the-project', '/volume/v3/the-project'),
  })
  .map(({ host, path: suffix, ...rest }) => ({ ...rest, url: `http://e${host}.test${suffix}` }));

const service = fc.record(
  {
    type: fc.oneof(type, fc.constantFrom('compute', 'identity', 'Block_Storage')),
    name: fc.constantFrom('glance', 'cinder', 'cinderv3', 'cinderv2'),
    endpoints: fc.array(endpoint, { maxLength: 5 }),
  },
  { requiredKeys: ['type', 'endpoints'] },
);

/** Service catalogs; every endpoint has a host of its own, more or less. */
export const catalog = fc.array(service, { minLength: 1, maxLength: 7 });
