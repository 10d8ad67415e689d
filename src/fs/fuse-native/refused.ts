import { errnoNumber } from './errno.js';

/** Operations of the binding that would change something, in its own names. */
const WRITING = [
  'write',
  'create',
  'truncate',
  'ftruncate',
  'utimens',
  'chown',
  'chmod',
  'mknod',
  'unlink',
  'rename',
  'link',
  'symlink',
  'mkdir',
  'rmdir',
  'setxattr',
  'removexattr',
] as const;

type Refusal = (...args: unknown[]) => void;

/** Every writing operation, answered EROFS. The mount is `ro`, so the kernel refuses most of them before us. */
export function refusedOperations(): Record<(typeof WRITING)[number], Refusal> {
  const refuse: Refusal = (...args) => (args.at(-1) as (error: number) => void)(-errnoNumber('EROFS'));
  return Object.fromEntries(WRITING.map((name) => [name, refuse])) as Record<
    (typeof WRITING)[number],
    Refusal
  >;
}
