/**
 * The version of what supervisor and engine tell each other (messages.ts): a supervisor lives as long as its mount, its
 * engines are of whatever version is installed when they start. The rules: docs/decisions/versions.md.
 */
import { CinderfsError } from '../errors.js';
import { VERSION } from '../version.js';

/** Grows with each change that a peer of the version before would misunderstand. 1: messages without a number. */
export const PROTOCOL = 2;
/** The oldest that this program still speaks. */
const OLDEST = 1;

/** What each side says of itself in its first message: `settings` of the supervisor, `warm` of the engine. */
export interface Speaker {
  /** Absent: 1. */
  readonly protocol?: number | undefined;
  /** The oldest that it still speaks; absent: its own. */
  readonly oldest?: number | undefined;
  /** Of the program, for messages to operators. */
  readonly program?: string | undefined;
}

export const SPEAKER = { protocol: PROTOCOL, oldest: OLDEST, program: VERSION } as const satisfies Speaker;

/** The protocol that both sides speak. @throws CinderfsError `upgrade_failed` where there is none. */
export function protocolWith(
  peer: Speaker,
  what: 'supervisor' | 'engine',
  own: { readonly protocol: number; readonly oldest: number } = SPEAKER,
): number {
  const theirs = counted(peer.protocol) ?? 1;
  const oldest = counted(peer.oldest) ?? theirs;
  const agreed = Math.min(theirs, own.protocol);
  if (agreed >= oldest && agreed >= own.oldest) return agreed;
  const who = peer.program === undefined ? `the ${what}` : `the ${what} of version ${peer.program}`;
  throw new CinderfsError(
    'upgrade_failed',
    `${who} speaks protocol ${theirs}, this program ${own.protocol}`,
    {
      remedy: 'Install the version that made the mount again, or unmount and mount again.',
    },
  );
}

/** A message, or undefined for what is none: then it is ignored, as is a message of a kind that is not known. */
export function messageIn(value: unknown): { readonly kind: string } | undefined {
  const kind = (value as { readonly kind?: unknown } | null | undefined)?.kind;
  return typeof kind === 'string' ? (value as { readonly kind: string }) : undefined;
}

function counted(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) > 0 ? (value as number) : undefined;
}
