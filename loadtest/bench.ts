import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Config, loadConfig } from '../services/shared/config.ts';
import { createUndoStack } from '../services/shared/shutdown.ts';
import { startPlatform } from '../services/up/platform.ts';
import { measureClone } from './clone-floor.ts';
import { checkAnswer, HttpLoad, type HttpResult } from './http-load.ts';
import { describeMachine } from './machine.ts';
import { measureQueue } from './queue-floor.ts';
import { type BenchResult, formatReport } from './report.ts';
import { measureSandboxes } from './sandbox-floor.ts';
import { benchRuntimes } from './snippets.ts';

const rounds = 3;
const loads = [
  { concurrency: 1, amount: 150 },
  { concurrency: 16, amount: 480 },
];

const root = resolve(import.meta.dirname, '..');
const nativeDir = join(root, 'runtime/native');
const undo = createUndoStack();
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted.abort(new Error(signal));
    void undo.run().then(() => process.exit(130));
  });
}

try {
  const result = await bench();
  console.log(`\n${formatReport(result)}`);
  const directory = join(root, 'loadtest/results');
  await mkdir(directory, { recursive: true });
  const file = join(directory, `${result.at.replaceAll(':', '-')}.json`);
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`\nwritten to ${file}`);
} finally {
  await undo.run();
}

async function bench(): Promise<BenchResult> {
  const machine = describeMachine(root);
  const { storeDir } = loadConfig();
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-bench-'));
  undo.push(() => rm(directory, { recursive: true, force: true }));
  // Redis runs as the services' user and has to get through.
  await chmod(directory, 0o755);
  const config = loadConfig({
    ONCEBOX_DATA_DIR: directory,
    ONCEBOX_STORE_DIR: storeDir,
    ONCEBOX_PORT: '0',
    ONCEBOX_LOG_LEVEL: 'warn',
  });

  // The floors first, while nothing of the platform runs beside them.
  console.log('measuring clone, sandbox, queue …');
  const clone = measureClone(nativeDir, 2000);
  const counts = { serialCount: 200, rateCount: 800 };
  const sandbox = await measureSandboxes({
    nativeDir,
    storeDir,
    directory,
    runtimes: benchRuntimes,
    ...counts,
  });
  const queue = await measureQueue(config, directory, { serial: 500, rate: 2000 });
  const http = await measureHttp(config);
  return { at: new Date().toISOString(), machine, floors: { clone, sandbox, queue }, http };
}

async function measureHttp(config: Config): Promise<HttpResult[]> {
  const log = {
    step: () => {},
    event: (text: string) => console.error(text),
    line: (service: string, line: string) =>
      ['redis', 'launcher'].includes(service) || console.error(`${service}: ${line}`),
  };
  const platform = await startPlatform(config, { log, signal: interrupted.signal });
  undo.push(() => platform.close());
  for (const runtime of benchRuntimes) await checkAnswer(platform.url, runtime);
  for (const runtime of benchRuntimes) await new HttpLoad(runtime, 16).round(platform.url, 200); // warm-up
  const series = loads.flatMap(({ concurrency, amount }) =>
    benchRuntimes.map((runtime) => ({ amount, load: new HttpLoad(runtime, concurrency) })),
  );
  // Interleaved, so that a noisy minute hits all of them alike.
  for (let round = 1; round <= rounds; round++) {
    console.log(`measuring /v1/run, round ${round} of ${rounds} …`);
    for (const { load, amount } of series) await load.round(platform.url, amount);
  }
  return series.map(({ load }) => load.result());
}
