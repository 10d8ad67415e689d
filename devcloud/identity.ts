/** Identities of this cloud: projects, users, roles, application credentials. Fixed, documented in `--help`. */

import { hexIdOf } from './ids.js';

export interface Project {
  readonly id: string;
  readonly name: string;
}

export type RoleName = 'admin' | 'member' | 'reader' | 'service';

export interface User {
  readonly id: string;
  readonly name: string;
  readonly password: string;
  /** Roles by project name. */
  readonly roles: Readonly<Record<string, readonly RoleName[]>>;
}

export interface ApplicationCredential {
  readonly id: string;
  readonly name: string;
  readonly secret: string;
  readonly user: User;
  readonly project: Project;
  readonly roles: readonly RoleName[];
}

const project = (name: string): Project => ({ id: hexIdOf('project', name), name });
const user = (name: string, roles: User['roles']): User => ({
  id: hexIdOf('user', name),
  name,
  password: name,
  roles,
});

export const REGION = 'RegionOne';
export const DOMAIN = { id: 'default', name: 'Default' } as const;

/** Glance keeps its image volumes in `service`; images belong to `admin`; `demo` is an unrelated tenant. */
export const PROJECTS = { admin: project('admin'), service: project('service'), demo: project('demo') };

/** Every password is the user's name. `cinderfs` is the user of the file system. */
export const USERS = {
  cinderfs: user('cinderfs', { service: ['member', 'reader', 'service'] }),
  admin: user('admin', { admin: ['member', 'reader', 'admin'], service: ['member', 'reader', 'admin'] }),
  reader: user('reader', { service: ['reader'] }),
  demo: user('demo', { demo: ['member', 'reader'] }),
};

/** One application credential of the operator's user. */
export const APPLICATION_CREDENTIAL: ApplicationCredential = {
  id: hexIdOf('application-credential', 'cinderfs'),
  name: 'cinderfs',
  secret: 'cinderfs-secret',
  user: USERS.cinderfs,
  project: PROJECTS.service,
  roles: ['member', 'reader', 'service'],
};

export function projectBy(match: {
  id?: string | undefined;
  name?: string | undefined;
}): Project | undefined {
  return Object.values(PROJECTS).find((p) => p.id === match.id || p.name === match.name);
}

export function userBy(match: { id?: string | undefined; name?: string | undefined }): User | undefined {
  return Object.values(USERS).find((u) => u.id === match.id || u.name === match.name);
}

/** The OS_* variables with which `user` reaches the cloud at `url`, scoped to its first project. */
export function environmentFor(url: string, user: User): Record<string, string> {
  return {
    OS_AUTH_URL: `${url}/identity/v3`,
    OS_USERNAME: user.name,
    OS_PASSWORD: user.password,
    OS_PROJECT_NAME: Object.keys(user.roles)[0] ?? '',
    OS_USER_DOMAIN_NAME: DOMAIN.name,
    OS_PROJECT_DOMAIN_NAME: DOMAIN.name,
    OS_REGION_NAME: REGION,
    OS_IDENTITY_API_VERSION: '3',
    OS_INTERFACE: 'public',
  };
}
