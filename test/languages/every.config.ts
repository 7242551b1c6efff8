import { defineConfig } from 'vitest/config';
import base from '../../vitest.config.ts';

/** Builds every language: an hour, and gigabytes from a mirror. No part of the ordinary tests. */
export default defineConfig({
  test: { ...base.test, include: ['test/languages/every-language.ts'], testTimeout: 180_000 },
});
