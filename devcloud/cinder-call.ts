import type { Faults } from './faults.js';
import type { ImageShelf } from './image-shelf.js';
import type { Cloud } from './model.js';
import type { Call } from './service.js';
import type { Caller, Tokens } from './tokens.js';

/** What the operations of Cinder work on. */
export interface CinderDeps {
  readonly cloud: Cloud;
  readonly tokens: Tokens;
  readonly faults: Faults;
  readonly shelf: ImageShelf;
  /** Largest page, also the default (osapi_max_limit). */
  readonly pageLimit: number;
  /** Which role sees attachments[].host_name besides admin: the service role does from Cinder 26.3 and 28 on. */
  readonly serviceSeesHosts: boolean;
}

/** One authenticated request. */
export interface CinderCall extends Call, CinderDeps {
  readonly caller: Caller;
  readonly projectId: string;
  /** The project as it stood in the URL, for links; undefined when the URL had none. */
  readonly urlProject: string | undefined;
  /** Minor of the microversion. */
  readonly minor: number;
}
