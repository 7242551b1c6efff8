import { defineConfig } from 'vitest/config';
import { pathWithTestTools } from './test/support/tools.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/bundle-services.mjs'],
    env: { PATH: pathWithTestTools() },
    // Nets for what hangs. No test is about time, and a busy machine is slow.
    testTimeout: 180_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 60_000 } },
    // Isolation tests count processes, mounts and cgroups of the whole host, so files run one after another.
    fileParallelism: false,
    // One process for all of them: what a file's start costs is loading the same modules again.
    isolate: false,
  },
});
