import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  buildFuzzers,
  corpusDir,
  fuzzers,
  runFuzzer,
  whyNoFuzzing,
} from '../../runtime/native/fuzz/run-fuzzer.ts';
import { fuzzSeeds } from '../../runtime/native/fuzz/seeds.ts';

/** `npm run fuzz` gives each a million. */
const runs = 20_000;

test('the corpus is what the encoders write; "npm run fuzz -- --seeds" renews it', async () => {
  const seeds = fuzzSeeds();
  expect(Object.keys(seeds).sort()).toEqual([...fuzzers].sort());
  for (const [fuzzer, wanted] of Object.entries(seeds)) {
    expect((await readdir(join(corpusDir, fuzzer))).sort(), fuzzer).toEqual(Object.keys(wanted).sort());
    for (const [name, bytes] of Object.entries(wanted)) {
      const stored = await readFile(join(corpusDir, fuzzer, name));
      expect(stored.equals(bytes), `${fuzzer}/${name}`).toBe(true);
    }
  }
});

const why = whyNoFuzzing();
const mayRun = why === undefined || process.env.ONCEBOX_MUST_WORK === '1';
const skipped = mayRun ? '' : ` (skipped: ${why})`;

describe.runIf(mayRun)(`fuzzing the parsers${skipped}`, () => {
  let findings: string;

  beforeAll(async () => {
    findings = await mkdtemp(join(tmpdir(), 'oncebox-findings-'));
    await buildFuzzers();
  }, 900_000);
  afterAll(() => rm(findings, { recursive: true }));

  test.each(fuzzers)('%s stands twenty thousand inputs', { timeout: 900_000 }, async (fuzzer) => {
    const seed = Math.floor(Math.random() * 2 ** 31) + 1;
    const run = await runFuzzer(fuzzer, { runs, seed });
    expect(run.finding, `--seed ${seed}: ${run.finding?.report} ${run.finding?.input}`).toBeUndefined();
    expect(run.runs).toBeGreaterThanOrEqual(runs);
    expect(run.edges).toBeGreaterThan(40);
  });

  test('a bug that is planted is found', { timeout: 900_000 }, async () => {
    const buildDir = 'build-fuzz/planted';
    const planted = ['launcher-request', 'exec-job'] as const;
    await buildFuzzers(planted, { buildDir, flags: '-include fuzz/planted-bug.h' });
    for (const fuzzer of planted) {
      const run = await runFuzzer(fuzzer, {
        runs: 1_000_000,
        seed: 1,
        buildDir,
        findingsDir: findings,
      });
      expect(run.finding?.report, fuzzer).toMatch(/heap-buffer-overflow|does not hold/);
      expect(run.finding?.input, fuzzer).toBeDefined();
    }
  });
});
