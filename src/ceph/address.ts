/** Where an RBD image is and the Ceph user that reads it. Plain text without a secret: it is journaled, and shown in the status. */
export interface RbdAddress {
  /** Of the cluster; `ceph` as a rule. */
  readonly cluster: string;
  /** Without `client.`; undefined where the cluster asks for no name. */
  readonly user?: string | undefined;
  /** Paths. What is not given is looked for by librados, where the distribution has it. */
  readonly conf?: string | undefined;
  readonly keyring?: string | undefined;
  /** `host:port`, separated by commas; instead of those in `conf`. */
  readonly monitors?: string | undefined;
  readonly pool: string;
  readonly namespace?: string | undefined;
  readonly image: string;
}

/** The part of an address that one connection to a cluster serves. */
export type ClusterAddress = Pick<RbdAddress, 'cluster' | 'user' | 'conf' | 'keyring' | 'monitors'>;

/** As rbd(8) has it: `pool/namespace/image`. */
export function rbdName({ pool, namespace, image }: RbdAddress): string {
  return [pool, namespace, image].filter((part) => part !== undefined).join('/');
}
