/**
 * Fuzzes the parsers of the native part (runtime/native/README.md):
 *
 *     npm run fuzz [-- [--runs N] [--only NAME] [--seed N] [--seeds]]
 *
 * `--seeds` writes the corpus anew, from the platform's encoders, and does no more.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import {
  buildFuzzers,
  corpusDir,
  type Fuzzer,
  type FuzzRun,
  fuzzers,
  runFuzzer,
  whyNoFuzzing,
} from '../runtime/native/fuzz/run-fuzzer.ts';
import { fuzzSeeds } from '../runtime/native/fuzz/seeds.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000000' },
    only: { type: 'string' },
    seed: { type: 'string', default: `${Math.floor(Math.random() * 2 ** 31) + 1}` },
    seeds: { type: 'boolean', default: false },
  },
});

if (values.seeds) await writeSeeds();
else await fuzz(wholeNumber('runs'), wholeNumber('seed'));

function wholeNumber(name: 'runs' | 'seed'): number {
  const number = Number(values[name]);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new RangeError(`--${name} must be a whole number from 1`);
  return number;
}

async function writeSeeds(): Promise<void> {
  const written = fuzzSeeds(); // all of them, before those that there are go
  await rm(corpusDir, { recursive: true, force: true });
  for (const [fuzzer, seeds] of Object.entries(written)) {
    await mkdir(join(corpusDir, fuzzer), { recursive: true });
    for (const [name, bytes] of Object.entries(seeds)) await writeFile(join(corpusDir, fuzzer, name), bytes);
  }
}

async function fuzz(runs: number, seed: number): Promise<void> {
  const why = whyNoFuzzing();
  if (why !== undefined) throw new Error(`cannot fuzz: ${why}`);
  const wanted = fuzzers.filter((name) => values.only === undefined || values.only === name);
  if (wanted.length === 0)
    throw new Error(`there is no fuzzer ${values.only}; there are ${fuzzers.join(', ')}`);
  console.log('building');
  await buildFuzzers(wanted);
  console.log(`${runs} inputs each, --seed ${seed}`);
  const results = new Map<Fuzzer, FuzzRun>();
  const left = [...wanted];
  // One a core: they do nothing but compute.
  await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) {
        results.set(name, await runFuzzer(name, { runs, seed, onProgress: shower(name) }));
        console.log(`${name}: done`);
      }
    }),
  );
  report(wanted, results);
}

/** A line every two seconds and fuzzer. */
function shower(name: Fuzzer): (line: string) => void {
  let shownAt = performance.now();
  return (line) => {
    if (performance.now() - shownAt < 2_000) return;
    shownAt = performance.now();
    console.log(`${name}: ${line.replace(/\s+/g, ' ')}`);
  };
}

function report(wanted: readonly Fuzzer[], results: ReadonlyMap<Fuzzer, FuzzRun>): void {
  const table = new Table({
    head: ['fuzzer', 'inputs', 'inputs/s', 'edges', 'features', 'findings'],
    style: { head: [] },
  });
  for (const name of wanted) {
    const { runs, perSecond, edges, edgesInAll, features, finding } = results.get(name) as FuzzRun;
    table.push([name, runs, perSecond, `${edges} of ${edgesInAll}`, features, finding ? 1 : 0]);
  }
  console.log(table.toString());
  for (const [name, { finding }] of results) {
    if (finding === undefined) continue;
    process.exitCode = 1;
    console.log(`\n${name}: ${finding.report}`);
    if (finding.input) console.log(`again: runtime/native/build-fuzz/${name} ${finding.input}`);
  }
}
