import { rm } from 'node:fs/promises';
import { afterAll, beforeAll } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import type { Config } from '../../services/shared/config.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { testConfig } from './platform.ts';

interface RunningPlatform {
  readonly config: Config;
  readonly platform: Platform;
  readonly client: Client;
}

/** A whole platform for all tests of a file; what it has is there from the first test on. `onLine` gets all that its parts log. */
export function usePlatform(
  settings: () => Record<string, string> = () => ({}),
  onLine: (line: string) => void = () => {},
): RunningPlatform {
  const running: Partial<{ -readonly [Name in keyof RunningPlatform]: RunningPlatform[Name] }> = {};
  beforeAll(async () => {
    running.config = await testConfig(settings());
    const log = { step() {}, event: onLine, line: (_: string, line: string) => onLine(line) };
    running.platform = await startPlatform(running.config, { log });
    running.client = createClient(running.platform.url);
  });
  afterAll(async () => {
    await running.platform?.close();
    if (running.config) await rm(running.config.ONCEBOX_DATA_DIR, { recursive: true });
  });
  return running as RunningPlatform;
}
