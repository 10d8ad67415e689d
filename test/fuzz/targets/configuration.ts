import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { loadConfig } from '../../../src/config/load.js';
import { optionEntries } from '../../../src/config/options.js';
import { temporaryFolder } from '../../support/temporary.js';
import { attempt, type Target } from '../target.js';

const VALUES = [
  'true',
  '90s',
  '1.5h',
  '512MiB',
  '99999999999999999999T',
  '0440',
  '/path',
  'a, b',
  'root',
  '3.69',
  '-1',
];

/** cinderfs.conf. */
export const configuration: Target = {
  name: 'configuration',
  seeds: [
    Buffer.from('[DEFAULT]\nimage_list_ttl = 90s\n# a comment\nfile_mode = 0444\nlinger = 5m\n  30s\n'),
    Buffer.from('[cinderfs]\nhttp_timeout=60\nos_cloud = "c"\nconnector = qemu\nread_timeout = 1h\n'),
    Buffer.from(
      optionEntries()
        .map(([name], at) => `${name} = ${VALUES[at % VALUES.length] ?? ''}\n`)
        .join(''),
    ),
    Buffer.from('\u{feff}page_size = 100\r\n; x\r\nlog_level = debug\r\n'),
  ],
  words: [
    ...optionEntries().map(([name]) => `${name} = `),
    ...VALUES,
    '\n',
    '\r\n',
    ' ',
    '"',
    "'",
    '[',
    ']',
    '=',
    '__proto__ = ',
  ],
  async open(undo) {
    const file = path.join(await temporaryFolder(undo), 'cinderfs.conf');
    return (input) => {
      writeFileSync(file, input);
      attempt(() => {
        const { config } = loadConfig({
          flags: { 'config-file': file },
          env: {},
          directory: '/',
          uid: 65_534,
        });
        for (const [name, value] of Object.entries(config))
          if (typeof value === 'number' && Number.isNaN(value)) throw new Error(`${name} is no number`);
      });
    };
  },
};
