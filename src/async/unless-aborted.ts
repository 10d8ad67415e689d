/**
 * What `work` comes to, or a rejection with the reason of `signal` as soon as that is aborted. The work goes on, and
 * its result is dropped.
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    const stop = (): void => signal.removeEventListener('abort', leave);
    work.finally(stop).then(resolve, reject);
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
  });
}
