import type { Random } from '../../support/random.js';
import type { World } from '../world.js';

/** Something that goes wrong. It is over, and what it broke mended, when `strike` resolves. */
export interface Hurt {
  readonly name: string;
  readonly weight: number;
  readonly strike: (world: World, random: Random) => Promise<void>;
}
