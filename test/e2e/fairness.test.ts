import { expect, test, vi } from 'vitest';
import { createClient } from '../../sdk/client.ts';
import { usePlatform } from '../support/use-platform.ts';

const concurrency = 4;
/** By the worker's log, Unix time in ms: when the tenant's calls ended, and when invocations were given a sandbox. */
const endedAtMs: number[] = [];
const leasedAtMs = new Map<string, number>();
const running = usePlatform(
  () => ({ ONCEBOX_CONCURRENCY: `${concurrency}`, ONCEBOX_LOG_LEVEL: 'debug' }),
  (line) => {
    const said = line.startsWith('{') ? JSON.parse(line) : {};
    if (said.msg === 'invocation' && said.function === 'slow') endedAtMs.push(said.time);
    if (said.msg === 'program handed over') leasedAtMs.set(said.invocationId, said.time);
  },
);
const waitingMany = 5_000;
const batchMax = 1_000;

test("with a tenant's 5,000 calls waiting for sandboxes, another's call is the next to have one", async () => {
  const busy = createClient(running.platform.url, { headers: { 'oncebox-tenant': 'busy' } });
  await busy.deploy('slow', {
    runtime: 'node',
    handler: 'index.handler',
    files: [
      {
        path: 'index.mjs',
        content: 'export const handler = () => new Promise((resolve) => setTimeout(resolve, 200));',
      },
    ],
  });
  for (let sent = 0; sent < waitingMany; sent += batchMax) {
    const accepted = await busy.invokeBatch(
      'slow',
      Array.from({ length: batchMax }, () => null),
    );
    expect(accepted.filter((item) => 'error' in item)).toEqual([]);
  }
  const passedBy: number[] = [];
  for (let call = 0; call < 3; call++) {
    const { id, stdout, timings } = await running.client.run({ runtime: 'bash', code: 'echo mine' });
    expect(stdout).toBe('mine\n');
    if (!timings) throw new Error('it has no timings');
    const { queueMs, admitMs, prepareMs, leaseMs } = timings;
    const leasedAt = await vi.waitFor(() => {
      const atMs = leasedAtMs.get(id);
      if (atMs === undefined) throw new Error('it has no sandbox yet');
      return atMs;
    }, 60_000);
    const takenAtMs = leasedAt - admitMs - prepareMs - leaseMs;
    passedBy.push(endedAtMs.filter((atMs) => atMs > takenAtMs - queueMs && atMs < takenAtMs).length);
  }
  await vi.waitFor(() => expect(endedAtMs.length, 'the control').toBeGreaterThan(concurrency), 60_000);
  // Those that had a place already, and those that were given theirs meanwhile. The best of three: the gateway may stand still
  // between noting the time and enqueuing.
  expect(Math.min(...passedBy), `${passedBy}`).toBeLessThanOrEqual(2 * concurrency);
  // It would have been the last of all.
  const metrics = await (await fetch(`${running.platform.url}/metrics`)).text();
  const waiting = Number(/^oncebox_queue_waiting (\d+)$/m.exec(metrics)?.[1]);
  expect(waiting).toBeGreaterThan(waitingMany / 2);
});
