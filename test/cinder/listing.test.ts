import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Images } from '../../src/cinder/glance/images.js';
import { VolumesClient } from '../../src/cinder/volumes/volumes.js';
import { CinderfsError } from '../../src/errors.js';

const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

/** Cinder that answers with these pages, whatever is asked; remembers what was. */
function cinder(...pages: unknown[]): { volumes: VolumesClient; paths: string[] } {
  const paths: string[] = [];
  const request = ({ path }: { path: string }): Promise<Answer> => {
    paths.push(path);
    return Promise.resolve(answer(pages[Math.min(paths.length, pages.length) - 1]));
  };
  const endpoint = {
    request,
    projectId: () => Promise.resolve('ours'),
    isAdmin: () => Promise.resolve(false),
  };
  return { volumes: new VolumesClient(endpoint, 2), paths };
}

function glance(endpoint: string, ...pages: unknown[]): { images: Images; urls: string[] } {
  const urls: string[] = [];
  const request = (_: string, { url }: { url: string }): Promise<Answer> => {
    urls.push(url);
    return Promise.resolve(answer(pages[Math.min(urls.length, pages.length) - 1]));
  };
  return { images: new Images({ request, endpoint: () => Promise.resolve(endpoint) }, 2), urls };
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: unknown;
  requestId: string;
}

const answer = (body: unknown): Answer => ({ status: 200, headers: {}, body, requestId: 'req-1' });

const volume = (n: number, project?: string): object => ({
  id: uuid(n),
  status: 'available',
  size: 1,
  metadata: { glance_image_id: uuid(n) },
  ...(project === undefined ? {} : { 'os-vol-tenant-attr:tenant_id': project }),
});

function malformed(pattern: RegExp): (error: unknown) => boolean {
  return (error) =>
    CinderfsError.is(error) &&
    error.code === 'http_failed' &&
    error.context.requestId === 'req-1' &&
    pattern.test(error.message);
}

describe('the list of volumes', () => {
  it('has none of another project, whatever Cinder lists', async () => {
    const { volumes } = cinder({ volumes: [volume(1, 'ours'), volume(2, 'theirs'), volume(3)] });
    assert.deepEqual(
      (await volumes.list()).map(({ id }) => id),
      [uuid(1), uuid(3)],
    );
  });

  it('takes only the marker of a link, never its host', async () => {
    const next = { rel: 'next', href: `http://elsewhere.test/v3/x/volumes/detail?marker=${uuid(1)}&limit=9` };
    const { volumes, paths } = cinder(
      { volumes: [volume(1)], volumes_links: [{ rel: 'self' }, next] },
      { volumes: [volume(2)] },
    );
    assert.equal((await volumes.list()).length, 2);
    assert.deepEqual(paths, ['/volumes/detail?limit=2', `/volumes/detail?limit=2&marker=${uuid(1)}`]);
  });

  it('ends when its pages go in circles', async () => {
    const page = { volumes: [volume(1)], volumes_links: [{ rel: 'next', href: '/x?marker=m' }] };
    await assert.rejects(cinder(page).volumes.list(), malformed(/goes in circles at marker m/));
  });

  it('is an error when it is no list', async () => {
    for (const body of [undefined, null, [], 'x', {}, { volumes: {} }, { volumes: null }]) {
      await assert.rejects(cinder(body).volumes.list(), malformed(/Cinder's answer .* has no/));
    }
    await assert.rejects(cinder({ volume: { id: 'x' } }).volumes.show(uuid(1)), malformed(/is not a volume/));
  });
});

describe('the list of images', () => {
  const image = (n: number): object => ({
    id: uuid(n),
    status: 'active',
    size: 1,
    updated_at: '2026-01-01T00:00:00Z',
  });

  it('follows next, below the path of the endpoint and whatever version that names', async () => {
    for (const endpoint of ['http://k/image', 'http://k/image/v2', 'http://k/image/v2.9']) {
      const { images, urls } = glance(
        endpoint,
        { images: [image(1)], next: '/v2/images?marker=a%26b' },
        { images: [image(2)] },
      );
      assert.equal((await images.list()).length, 2);
      assert.deepEqual(urls, [
        'http://k/image/v2/images?limit=2&status=active',
        'http://k/image/v2/images?limit=2&status=active&marker=a%26b',
      ]);
    }
  });

  it('leaves out what is no image, and keeps names as they are', async () => {
    const names = ['../..', 'a/b', '\u0000', 'ü'.repeat(300), '\ufffd'];
    const entries = names.map((name, n) => ({ ...image(n), name }));
    const { images } = glance('http://k', { images: [null, 7, {}, { id: 'X' }, ...entries] });
    assert.deepEqual(
      (await images.list()).map(({ name }) => name),
      names,
    );
  });
});
