import { readdirSync, watch, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, type TestContext, test } from 'vitest';
import { bubblewrap } from '../../loadtest/controls/bubblewrap.ts';
import { childProcess } from '../../loadtest/controls/child-process.ts';
import { measureControls } from '../../loadtest/controls/measure.ts';
import { measurePeer } from '../../loadtest/controls/measure-peer.ts';
import { ociRuntime } from '../../loadtest/controls/oci-runtime.ts';
import type { Peer, PeerOptions } from '../../loadtest/controls/peer.ts';
import { createUndoStack } from '../../services/shared/shutdown.ts';
import { storeDir } from '../support/zones.ts';
import { peerOptions, takeTraces, useDirectory, useSearchPath } from './use-controls.ts';

const bounds = { serialCount: 3, rateMaxCount: 6, rateMaxMs: 60_000, inFlight: 2 };

const real: [name: string, make: (options: PeerOptions) => Peer][] = [
  ['child process', childProcess],
  ['bubblewrap', bubblewrap],
  ['runc', (options) => ociRuntime('runc', options)],
];

async function skipWhereAbsent(peer: Peer, context: TestContext) {
  const presence = await peer.probe();
  if (!presence.available && process.env.ONCEBOX_MUST_WORK !== '1') context.skip(presence.reason);
}

test.for(real)('%s runs node and python, and leaves nothing behind', async ([name, make], context) => {
  for (const runtime of ['node', 'python'] as const) {
    const directory = useDirectory();
    const options = peerOptions(runtime, directory);
    const peer = make(options);
    await skipWhereAbsent(peer, context);
    const before = await takeTraces(directory);
    const control = await measurePeer(peer, options.program.stdout, bounds);
    expect(control).toMatchObject({ name, available: true, concurrency: 2, latencyMs: { count: 3 } });
    expect(control.version).toMatch(/^\d/);
    expect(control.ratePerSecond).toBeGreaterThan(0);
    expect(await takeTraces(directory)).toEqual(before);
  }
});

test.for(real.slice(1))(
  'what %s runs is in a container: it sees no process but its own',
  async ([, make], context) => {
    const options = peerOptions('node', useDirectory());
    const listing = "console.log(fs.readdirSync('/proc').filter((name) => Number(name) > 0).length)";
    const peer = make({ ...options, program: { ...options.program, argv: ['node', '-e', listing] } });
    await skipWhereAbsent(peer, context);
    try {
      await peer.prepare();
      expect(Number(await peer.once())).toBeLessThanOrEqual(2);
      expect((await readdir('/proc')).filter((name) => Number(name) > 0).length).toBeGreaterThan(2);
    } finally {
      await peer.undo();
    }
  },
);

test('measuring ends on an interrupt, and nothing of it is left', async () => {
  const directory = useDirectory();
  const before = await takeTraces(directory);
  const started = useDirectory();
  const gates = useDirectory();
  const gate = join(gates, 'open');
  const wait = `until [ -e "${gate}" ] || [ ! -d "${gates}" ]; do sleep 0.05; done`;
  const slow = `[ "$1" = --version ] && echo 1.0 && exit; : >"${started}/$$"; ${wait}; echo 2`;
  useSearchPath({ bwrap: slow, runc: 'exit 1', crun: 'exit 1', docker: 'exit 1' }, process.env.PATH);
  const undo = createUndoStack();
  const running = new Promise<void>((resolve) => {
    const watcher = watch(started, () => {
      watcher.close();
      resolve();
    });
  });
  const options = { storeDir, directory, runtime: 'node' as const, quick: true, onProgress: () => {} };
  const measuring = measureControls({ ...options, undo });
  const refused = expect(measuring).rejects.toThrow('interrupted');
  await running;
  expect(await takeTraces(directory)).not.toEqual(before);
  const undone = undo.run();
  // What runs is left to end.
  writeFileSync(gate, '');
  await undone;
  await refused;
  expect(await takeTraces(directory)).toEqual(before);
  expect(readdirSync(directory)).toEqual([]);
});
