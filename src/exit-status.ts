/** Exit codes are a documented ABI (docs/exit-codes.md); a retired number stays reserved. */
export const EXIT = {
  ok: 0,
  // 1 is never given: Node and shells end with it for reasons of their own.
  usage: 2,
  config: 3,
  auth: 4,
  mountpoint: 5,
  busy: 6,
  fuse: 7,
  connector: 8,
  not_running: 9,
  // 10 was given by no release and stays reserved.
  timeout: 11,
  openstack: 12,
  internal: 70,
  output: 74,
  // 141 says that the reader of stdout left: main.ts, as SIGPIPE would.
} as const satisfies Record<string, number>;
