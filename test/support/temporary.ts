import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';

/** A folder of this test's own; it is gone when the test is over, however it ends. */
export async function temporaryFolder(
  test: TestContext | { after: (undo: () => Promise<unknown>) => void },
): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'cinderfs-test-'));
  test.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
