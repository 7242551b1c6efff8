import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe } from 'vitest';
import { type Client, createClient } from '../../sdk/client.ts';
import { languages } from '../../services/languages/recipes/index.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { ownStoreConfig } from '../support/platform.ts';
import { languageCases } from './language.cases.ts';

/** Names with a blank between them; all unless given. */
const wanted = process.env.ONCEBOX_LANGUAGES?.split(/[\s,]+/);
const tested = languages.filter(({ name }) => wanted?.includes(name) ?? true);
let platform: Platform;
let client: Client;

beforeAll(async () => {
  platform = await startPlatform(await ownStoreConfig(), { log: { step() {}, event() {}, line() {} } });
  client = createClient(platform.url);
});
afterAll(async () => {
  await platform?.close();
  if (platform) await rm(platform.config.ONCEBOX_DATA_DIR, { recursive: true, force: true });
});

describe.each(tested.map((one) => [one.name, one] as const))('%s', (_, language) => {
  languageCases(() => client, language);
});
