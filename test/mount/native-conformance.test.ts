import { mountNative } from '../../src/fs/fuse-native/mount-native.js';
import { filesystemConformance } from '../conformance/filesystem.js';
import { overMount } from '../conformance/mounted.js';

// libfuse 2 has no LSEEK: the kernel calls everything data.
filesystemConformance(overMount('over fuse-native', mountNative, false));
