/** Workers at /dev/fuse: of an idle mount, and of one with much to do. */
export const WORKERS = 2;
export const MOST_WORKERS = 4;
/** How many more may be started for those that a dead source holds. */
const SPARE_WORKERS = 28;
export const WORKER_LIMIT = MOST_WORKERS + SPARE_WORKERS;
/** One crash of a worker in so many milliseconds is borne for ever; one per worker may come at once. */
export const CRASH_FORGIVEN_MS = 60_000;
