/** cinder-api of the real OpenStack is stopped in the middle of an attach and comes back: the open is only late. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { testCloud } from '../support/cloud.js';
import { Mounted, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { CloudProxy } from './cloud-proxy.js';

const LAB = fileURLToPath(new URL('../../../test/openstack/lab', import.meta.url));

describe('an open', { timeout: 200_000 }, () => {
  it('outlasts a cinder-api that restarts after it reserved the volume', async (t: TestContext) => {
    assert.equal(process.env.CINDERFS_TEST_CLOUD, 'lab', 'npm run test:openstack runs this');
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    const cloud = await testCloud(undo, dir);
    const image = cloud.images.find(({ name }) => name === 'demo-rbd') ?? assert.fail('the lab has it');
    let restarted: Promise<void> | undefined;
    const proxy = await CloudProxy.start(undo, async ({ method, path: asked }) => {
      if (method !== 'POST' || !asked.endsWith('/attachments') || restarted !== undefined) return;
      await lab('stop');
      restarted = lab('start');
    });
    undo.after(() => lab('start'));
    const env = {
      OS_AUTH_URL: proxy.authUrl,
      OS_USERNAME: 'cinderfs',
      OS_PASSWORD: 'cinderfs',
      OS_PROJECT_NAME: 'service',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
    };
    const mounted = await Mounted.start({ dir, env, test: undo });
    const { status, stdout, stderr } = await run('cmp', [mounted.at(image.id), image.source]);
    assert.equal(status, 0, `${stdout}${stderr}${mounted.said.slice(-20).join('\n')}`);
    assert.ok(restarted, 'it was stopped meanwhile');
    await restarted;
    assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
    assert.deepEqual(await cloud.openstack.attachments.listForVolume(image.volume_id), []);
  });
});

async function lab(verb: 'start' | 'stop'): Promise<void> {
  const { status, stderr } = await run('bash', [path.join(LAB, verb), 'cinder-api'], process.env);
  assert.equal(status, 0, stderr);
}
