import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { ownStoreConfig } from '../support/platform.ts';
import { fuzz } from './schemathesis/fuzz.ts';

let config: Config;
let platform: Platform;
const events: string[] = [];

beforeAll(async () => {
  config = await ownStoreConfig();
  platform = await startPlatform(config, {
    log: { step() {}, event: (text) => events.push(text), line() {} },
  });
});
afterAll(async () => {
  await platform?.close();
  await rm(config.ONCEBOX_DATA_DIR, { recursive: true });
});

test('a fuzzer that reads the document finds no reply that breaks it', { timeout: 600_000 }, async () => {
  // Many times more at once where the machine has nothing else to do.
  let asked = 0;
  for (let seed = 1; asked <= 50 && seed <= 10; seed++) {
    const { exitCode, output, cases } = await fuzz({
      url: platform.url,
      seed,
      maxSeconds: 40,
      maxExamples: 20,
    });
    expect(exitCode, output).toBe(0);
    asked += cases;
  }
  expect(asked).toBeGreaterThan(50);
  // No part of the platform fell over it.
  expect(events).toEqual([]);
});
