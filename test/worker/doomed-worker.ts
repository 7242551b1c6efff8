/** A worker whose sandboxes never end, in a process of its own to be killed: `doomed-worker.ts REDIS_URL [CONCURRENCY]`. */
import { pino } from 'pino';
import { connectRedis } from '../../services/shared/redis.ts';
import { MemoryCapacity } from '../../services/worker/capacity.ts';
import { createInvocationWorker } from '../../services/worker/invocation-worker.ts';
import { Runs } from '../../services/worker/runs.ts';
import { FakeSource, prepareAsIs } from './fake-source.ts';

const source = new FakeSource();
const worker = createInvocationWorker({
  recordsKept: { count: 100, ms: 60_000 },
  redis: connectRedis(process.argv[2] ?? ''),
  deadLetters: { kept: 10, keptMs: 60_000 },
  concurrency: Number(process.argv[3] ?? 1),
  isShared: () => true,
  deps: {
    source,
    capacity: new MemoryCapacity(2 ** 30),
    runs: new Runs(),
    prepare: prepareAsIs,
    recordDiff: async () => ({}),
    logger: pino({ level: 'silent' }),
  },
  stalled: { lockDurationMs: 300, intervalMs: 100 },
});
void source.running().then(() => process.stdout.write('running\n'));
await worker.run();
