/**
 * `npm run fuzz:http -- [seconds] [seed]`: schemathesis against a platform of its own, gateway, worker and sandboxes, for
 * as long as you like. Prints the seed; ends with 1 when something was found.
 */
import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { startPlatform } from '../../../services/up/platform.ts';
import { ownStoreConfig } from '../../support/platform.ts';
import { fuzz } from './fuzz.ts';

const [maxSeconds = 600, seed = randomInt(2 ** 31)] = process.argv.slice(2).map(Number);
const config = await ownStoreConfig();
const log = { step() {}, event: (text: string) => console.error(text), line() {} };
const platform = await startPlatform(config, { log });
console.log(`seed ${seed}, ${maxSeconds} seconds, ${platform.url}`);
try {
  const { exitCode, cases } = await fuzz({
    url: platform.url,
    seed,
    maxSeconds,
    maxExamples: 1_000,
    onOutput: (text) => process.stdout.write(text),
  });
  console.log(`${cases} requests, seed ${seed}`);
  process.exitCode = exitCode === 0 ? 0 : 1;
} finally {
  await platform.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
}
