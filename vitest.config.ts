import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Isolation tests count processes, mounts and cgroups of the whole host, so files run one after another.
    fileParallelism: false,
  },
});
