import { mountEngine } from '../../src/fs/fuse/engine.js';
import { filesystemConformance } from '../conformance/filesystem.js';
import { overMount } from '../conformance/mounted.js';

filesystemConformance(overMount('over the kernel engine', mountEngine, true));
