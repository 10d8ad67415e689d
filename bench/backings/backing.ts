import type { Workbench } from '../workbench.js';

export type BackingName = 'file' | 'device' | 'rbd';

export type ImageName = 'dense' | 'sparse';

/** One image's bytes where they really are: what every server serves and what `direct` reads. */
export interface Image {
  readonly name: ImageName;
  readonly backing: BackingName;
  readonly bytes: number;
  /** The bytes themselves, as dd and fio read them. */
  readonly target: Target;
  /** The same for QEMU: options of a protocol node for --blockdev and --image-opts. */
  readonly qemu: string;
  /**
   * Bytes the source has given since it came to be, to anybody. Undefined where the source does not count and the
   * processes that read it must be asked instead.
   */
  readonly bytesGiven: (() => Promise<number>) | undefined;
}

/** Something a load generator can read. */
export type Target = PathTarget | RbdTarget;

export interface PathTarget {
  readonly kind: 'path';
  readonly path: string;
}

/** An RBD image that no kernel device shows: only librbd reads it. */
export interface RbdTarget {
  readonly kind: 'rbd';
  readonly pool: string;
  readonly image: string;
  readonly user: string;
}

/** A cloud whose volumes are the backing's images, for the servers that are cinderfs itself. */
export interface Cloud {
  /** The OS_* environment that reaches it. */
  readonly environment: Readonly<Record<string, string>>;
  /** The connector that can attach its volumes here. */
  readonly connector: 'local' | 'rbd';
  /** The image's file under a cinderfs mount point. */
  fileName(image: Image): string;
}

export interface Backing {
  readonly name: BackingName;
  readonly dense: Image;
  /** Absent where making a sparse image is not the bench's business. */
  readonly sparse: Image | undefined;
  readonly cloud: Cloud;
}

/** Prepares a backing; what it makes is undone by `workbench.cleanup`. */
export type PrepareBacking = (workbench: Workbench) => Promise<Backing>;
