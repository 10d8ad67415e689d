import { direct } from './direct.js';
import { filesystemConformance } from './filesystem.js';

filesystemConformance(direct);
