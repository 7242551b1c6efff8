import { deadLetterExamples } from './dead-letters.ts';
import { eventExamples } from './events.ts';
import type { Examples } from './example.ts';
import { functionExamples } from './functions.ts';
import { httpTriggerExamples } from './http-trigger.ts';
import { imageExamples } from './images.ts';
import { inputExamples } from './input.ts';
import { invocationExamples } from './invocations.ts';
import { languageExamples } from './languages.ts';
import { modeExamples } from './modes.ts';
import { nodeExamples } from './nodes.ts';
import { runExamples } from './run.ts';
import { secretExamples } from './secrets.ts';
import { settingsExamples } from './settings.ts';
import { tenantExamples } from './tenants.ts';
import { versionExamples } from './versions.ts';

/** In the order in which they can be asked. */
export const allExamples: Examples = {
  // Each goes behind the run that waits for it, and that not long.
  ...inputExamples,
  ...runExamples,
  // One of those is still running.
  ...invocationExamples,
  ...functionExamples,
  ...httpTriggerExamples,
  ...versionExamples,
  ...settingsExamples,
  ...secretExamples,
  ...modeExamples,
  ...eventExamples,
  ...deadLetterExamples,
  ...nodeExamples,
  ...imageExamples,
  ...languageExamples,
  ...tenantExamples,
};
