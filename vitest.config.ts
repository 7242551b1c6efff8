import { defineConfig } from 'vitest/config';
import { pathWithTestTools } from './test/support/tools.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/bundle-services.mjs'],
    env: { PATH: pathWithTestTools() },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Isolation tests count processes, mounts and cgroups of the whole host, so files run one after another.
    fileParallelism: false,
  },
});
