/** `npm run test:faults -- --seed N --invocations 2000 --kills 20 --others 3 --clients 16` */
import { parseArgs } from 'node:util';
import { runFaults } from './harness.ts';
import { reportText } from './report.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    invocations: { type: 'string', default: '2000' },
    kills: { type: 'string', default: '20' },
    others: { type: 'string', default: '3' },
    clients: { type: 'string', default: '16' },
  },
});
const startedAtMs = performance.now();
const say = (text: string) =>
  process.stdout.write(`${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(6)} s  ${text}\n`);
say(`seed ${values.seed}`);
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => interrupted.abort(new Error(`ended by ${signal}`)));
const report = await runFaults({
  seed: Number(values.seed),
  invocations: Number(values.invocations),
  kills: Number(values.kills),
  others: Number(values.others),
  clients: Number(values.clients),
  say,
  signal: interrupted.signal,
});
process.stdout.write(`${reportText(report)}\n`);
process.exit(report.ok ? 0 : 1);
