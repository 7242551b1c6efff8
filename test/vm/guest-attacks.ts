import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startGround } from '../../services/doctor/attacks/ground.ts';
import { type AttackRow, runAttacks } from '../../services/doctor/attacks/run-attacks.ts';
import { attackTable } from '../../services/doctor/attacks/table.ts';
import { tally } from './guest-platform.ts';

/** Emulated, with the host's other work beside it. */
const patience = 8;
const ownStoreDir = '/run/store';
const only = (process.env.ONCEBOX_ATTACKS ?? '').split(',').filter((name) => name !== '');

const run = promisify(execFile);
await run('/run/busybox', ['ip', 'link', 'set', 'lo', 'up']);
await run('/run/busybox', ['hostname', 'oncebox-vm']);
await layOverStore(process.argv[2] as string);

const ground = await startGround({ signal: new AbortController().signal, patience, ownStoreDir });
console.log(`ok the platform serves (${Math.round(process.uptime())} s)`);
try {
  console.log(attackTable(await runAttacks({ ground, only, onRow })));
} finally {
  await ground.close();
}

function onRow({ id, held, control, ms, detail }: AttackRow): void {
  // What cannot be tried here was not tried.
  const isWell = held === true && control === true;
  if (isWell) tally.passed += 1;
  else tally.failed += 1;
  console.log(`${isWell ? 'ok' : 'FAILED'} ${id} (${Math.round(ms)} ms)${detail && `: ${detail}`}`);
}

/** The host's is read-only; what is changed is in memory. */
async function layOverStore(storeDir: string): Promise<void> {
  for (const name of ['store', 'store-upper', 'store-work']) await mkdir(join('/run', name));
  const options = `lowerdir=${storeDir},upperdir=/run/store-upper,workdir=/run/store-work`;
  await run('mount', ['-t', 'overlay', 'overlay', '-o', options, ownStoreDir]);
}
