import type { Backing, Image, Target } from '../backings/backing.js';
import type { Room } from '../workbench.js';

/** A way to get at an image's bytes: the bytes themselves, cinderfs in one of its forms, or a C program. */
export interface Server {
  readonly name: string;
  /** A program of others that does the same job. */
  readonly isPeer: boolean;
  /** Programs that must be installed. */
  readonly needs: readonly Requirement[];
  /**
   * Whether it keeps bytes of the image elsewhere than in the page cache. Then only a restart makes it cold; else it
   * is enough to drop the page cache.
   */
  hasOwnCache(image: Image): boolean;
  serves(image: Image): boolean;
  /** Starts serving; whatever it starts is undone by `room.cleanup`, also when it rejects. */
  start(image: Image, backing: Backing, room: Room): Promise<Served>;
}

export interface Requirement {
  readonly command: string;
  /** The Debian package that brings the command. */
  readonly debian: string;
}

/** An image being served. */
export interface Served {
  readonly target: Target;
  /** The programs that serve it; their children count as theirs. Empty for `direct`. */
  readonly pids: readonly number[];
  /** The kernel reads the source itself: what it serves has no pages but the source's. */
  readonly passesThrough?: boolean;
  /**
   * The processes that read(2) the image from its source, asked when the image is open. Empty where nobody does:
   * then what the source gave can be known only if it counts for itself.
   */
  sourcePids(): Promise<readonly number[]>;
}
