/** A reply to the kernel: 0 or a positive result, or a negative errno, and what goes with it. */
export type Reply<T extends readonly unknown[]> = (result: number, ...rest: T) => void;

/**
 * Invariant: every request is answered exactly once. A second reply would post the binding's semaphore again and
 * poison a later, unrelated request (F2); an answer that never comes would hang its caller for ever.
 *
 * The returned function passes its first call on and says whether this call was that one.
 */
export function replyOnce<T extends readonly unknown[]>(
  reply: Reply<T>,
): (result: number, ...rest: T) => boolean {
  let replied = false;
  return (result, ...rest) => {
    if (replied) return false;
    replied = true;
    reply(result, ...rest);
    return true;
  };
}
