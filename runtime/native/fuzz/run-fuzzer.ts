import { execFile, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const fuzzers = [
  'launcher-request',
  'agent-frames',
  'run-streams',
  'zygote-messages',
  'exec-job',
  'runtime-api',
  'proc-text',
  'changes-tar',
  'archive',
] as const;
export type Fuzzer = (typeof fuzzers)[number];

const here = fileURLToPath(new URL('.', import.meta.url));
export const corpusDir = join(here, 'corpus');
const native = join(here, '..');

export interface FuzzRun {
  runs: number;
  perSecond: number;
  /** Edges of our code that were reached, of how many in the target and what it is linked with. */
  edges: number;
  edgesInAll: number;
  /** Edges, and how often each: what a new input is judged by. */
  features: number;
  finding?: Finding;
}

interface Finding {
  /** What the sanitizer or the target said, its last lines. */
  report: string;
  /** The input, kept in `findings/`; none where it took too much memory without one. */
  input?: string;
}

export interface FuzzOptions {
  runs: number;
  /** Of libFuzzer's random numbers. */
  seed: number;
  /** Where `make fuzz` built. */
  buildDir?: string;
  onProgress?: (line: string) => void;
  /** Where an input that breaks the target is kept. */
  findingsDir?: string;
}

/** Why there can be no fuzzing here; undefined: there can. */
export function whyNoFuzzing(): string | undefined {
  if (process.getuid?.() !== 0) return 'the fuzzer of archives gives files to other users, and needs root';
  const directories = (process.env.PATH ?? '').split(delimiter);
  const isThere = directories.some((directory) => {
    try {
      accessSync(join(directory, 'clang'), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return isThere ? undefined : 'clang is not installed (Debian: clang and libclang-rt-dev)';
}

/** `flags` go to the compiler. */
export async function buildFuzzers(
  names: readonly Fuzzer[] = fuzzers,
  { buildDir = 'build-fuzz', flags = '' } = {},
): Promise<void> {
  const variables = [`FUZZERS=${names.join(' ')}`, `FUZZ_BUILD=${buildDir}`, `FUZZ_FLAGS=${flags}`];
  await promisify(execFile)('make', ['-s', '-C', native, 'fuzz', ...variables], { maxBuffer: 1 << 24 });
}

/** Runs one to its end: so many inputs, or the first that breaks it. */
export async function runFuzzer(name: Fuzzer, options: FuzzOptions): Promise<FuzzRun> {
  // What it learns stays out of the tree; and `archive` can write to its working directory and nowhere else.
  const work = await mkdtemp(join(tmpdir(), `oncebox-fuzz-${name}-`));
  try {
    await mkdir(join(work, 'learned'));
    return await run(name, work, options);
  } finally {
    await rm(work, { recursive: true });
  }
}

async function run(name: Fuzzer, work: string, options: FuzzOptions): Promise<FuzzRun> {
  const { runs, seed, buildDir = 'build-fuzz', onProgress } = options;
  const child = spawn(
    join(native, buildDir, name),
    [
      ...[`-runs=${runs}`, `-seed=${seed}`, '-max_len=8192', '-timeout=20', '-rss_limit_mb=2048'],
      ...['-artifact_prefix=./', '-print_final_stats=1', `-dict=${join(here, 'dictionary.txt')}`],
      ...['learned', join(corpusDir, name)],
    ],
    { cwd: work, stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env.PATH } },
  );
  const startedAt = performance.now();
  const result: FuzzRun = { runs: 0, perSecond: 0, edges: 0, edgesInAll: 0, features: 0 };
  const last: string[] = [];
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  for await (const line of createInterface({ input: child.stderr })) {
    const pulse = /^#(\d+)\s.*cov: (\d+) ft: (\d+)/.exec(line);
    if (pulse) {
      [result.runs, result.edges, result.features] = pulse.slice(1).map(Number) as [number, number, number];
      onProgress?.(line);
      continue;
    }
    const loaded = /\((\d+) inline 8-bit counters\)/.exec(line);
    if (loaded) result.edgesInAll = Number(loaded[1]);
    const total = /^stat::(\w+):\s+(\d+)/.exec(line);
    if (total?.[1] === 'number_of_executed_units') result.runs = Number(total[2]);
    if (last.push(line) > 200) last.shift();
  }
  const status = await ended;
  result.perSecond = Math.round(result.runs / ((performance.now() - startedAt) / 1000));
  if (status !== 0) result.finding = await keepFinding(name, work, last, options.findingsDir);
  return result;
}

async function keepFinding(
  name: Fuzzer,
  work: string,
  lines: string[],
  findingsDir = join(here, 'findings'),
): Promise<Finding> {
  const from = Math.max(
    0,
    lines.findIndex((line) => /ERROR:|runtime error:|does not hold/.test(line)),
  );
  const report = lines.slice(from, from + 40).join('\n');
  const artifact = (await readdir(work)).find((file) => /^(crash|oom|timeout|leak)-/.test(file));
  if (artifact === undefined) return { report };
  await mkdir(findingsDir, { recursive: true });
  const input = join(findingsDir, `${name}-${artifact}`);
  await copyFile(join(work, artifact), input);
  return { report, input };
}
