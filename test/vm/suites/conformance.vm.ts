import { mountEngine } from '../../../src/fs/fuse/engine.js';
import { filesystemConformance } from '../../conformance/filesystem.js';
import { overMount } from '../../conformance/mounted.js';
import { loadModules } from '../support/command.js';

// The same suite as outside, on the oldest kernel that is supported: no passthrough, no FUSE_NOTIFY_RESEND.
loadModules('fuse');
filesystemConformance(overMount("over the kernel engine on Debian 12's kernel", mountEngine, true));
