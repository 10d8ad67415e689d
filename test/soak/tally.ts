/** What happened, counted; and what must not have happened. */
export class Tally {
  opens = 0;
  bytes = 0;
  kills = 0;
  umounts = 0;
  modelRuns = 0;
  /** Reads and opens that failed, by errno. */
  readonly errors = new Map<string, number>();
  /** What was done to the cloud and the hosts, by name. */
  readonly hurts = new Map<string, number>();
  /** Sentences; the first one ends the soak. */
  readonly violations: string[] = [];
  wrongBytes = 0;
  leftovers = 0;
  /** Milliseconds until everything was readable again, and until nothing was left, at worst. */
  slowestRecovery = 0;
  slowestRest = 0;

  error(errno: string): void {
    count(this.errors, errno);
  }

  hurt(name: string): void {
    count(this.hurts, name);
  }

  violation(sentence: string): void {
    this.violations.push(sentence);
    process.stderr.write(`soak: VIOLATION: ${sentence}\n`);
  }
}

export function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** `EIO 3, ESTALE 1`, the most frequent first. */
export function listCounts(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.length === 0 ? 'none' : sorted.map(([name, times]) => `${name} ${times}`).join(', ');
}
