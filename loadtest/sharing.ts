import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { loadConfig } from '../services/shared/config.ts';
import { createUndoStack } from '../services/shared/shutdown.ts';
import { describeMachine } from './machine/machine.ts';
import { measureSharing, type SharingSeries } from './sharing/measure.ts';
import { formatSharing, type SharingResult } from './sharing/report.ts';

const counts = [1, 10, 100, 400];
/** Each further sandbox of the control costs a copy of the payload, on disk and in memory. */
const controlCounts = [1, 4, 10];

const root = resolve(import.meta.dirname, '..');
const undo = createUndoStack();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void undo.run().then(() => process.exit(130)));
}

try {
  const { storeDir } = loadConfig();
  const machine = describeMachine(root);
  // Beside the store: where /tmp is a tmpfs its files are memory, and never leave the page cache.
  const directory = await mkdtemp(join(dirname(storeDir), 'bench-sharing-'));
  undo.push(() => rm(directory, { recursive: true, force: true }));
  const runs = [
    { kind: 'node', layers: 'shared', counts },
    { kind: 'exec', layers: 'shared', counts },
    { kind: 'exec', layers: 'private', counts: controlCounts },
  ] as const;
  const series: SharingSeries[] = [];
  for (const [index, run] of runs.entries()) {
    console.log(`measuring ${run.kind}, ${run.layers} layers, ${run.counts.join(', ')} sandboxes …`);
    const options = { nativeDir: join(root, 'runtime/native'), storeDir, ...run };
    series.push(await measureSharing({ ...options, directory: join(directory, `${index}`) }));
    await rm(join(directory, `${index}`), { recursive: true, force: true });
  }
  const result: SharingResult = { at: new Date().toISOString(), machine, series };
  console.log(`\n${formatSharing(result)}`);
  const results = join(root, 'loadtest/results');
  await mkdir(results, { recursive: true });
  const file = join(results, `sharing-${result.at.replaceAll(':', '-')}.json`);
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`\nwritten to ${file}`);
} finally {
  await undo.run();
}
