/** Timers of systemClock keep no process alive: this does, until `work` is done. */
export async function keepProcessAlive<T>(work: () => Promise<T>): Promise<T> {
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    return await work();
  } finally {
    clearInterval(alive);
  }
}
