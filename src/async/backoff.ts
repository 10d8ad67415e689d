/** Full-jitter exponential back-off: a delay drawn from [0, min(cap, base * 2^attempt)], in milliseconds. */
export interface BackoffPolicy {
  readonly baseMs: number;
  readonly capMs: number;
}

/** The delay before retry number `attempt` (0 is the first retry). `random` is in [0, 1). */
export function backoffDelay(
  policy: BackoffPolicy,
  attempt: number,
  random: () => number = Math.random,
): number {
  return random() * Math.min(policy.capMs, policy.baseMs * 2 ** attempt);
}
