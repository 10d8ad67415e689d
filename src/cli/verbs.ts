import { attachments } from './verbs/attachments.js';
import { images } from './verbs/images.js';
import { mount } from './verbs/mount.js';
import { release } from './verbs/release.js';
import { status } from './verbs/status.js';
import { umount } from './verbs/umount.js';
import { upgrade } from './verbs/upgrade.js';
import type { Verb } from './command-line/verb.js';

/** Every verb, in the order in which `cinderfs --help` lists them. */
export const VERBS: readonly Verb[] = [mount, umount, upgrade, images, status, attachments, release];
