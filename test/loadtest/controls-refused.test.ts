import { readdirSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { bubblewrap } from '../../loadtest/controls/bubblewrap.ts';
import { docker } from '../../loadtest/controls/docker.ts';
import { measureControls } from '../../loadtest/controls/measure.ts';
import { measurePeer } from '../../loadtest/controls/measure-peer.ts';
import type { Peer } from '../../loadtest/controls/peer.ts';
import { openStore } from '../../runtime/image/store.ts';
import { peerOptions, useDirectory, useSearchPath } from './use-controls.ts';

const bounds = { serialCount: 3, rateMaxCount: 6, rateMaxMs: 60_000, inFlight: 2 };

function madeUp(changes: Partial<Peer>) {
  return {
    name: 'made up',
    probe: vi.fn(async () => ({ available: true as const, version: '1' })),
    prepare: vi.fn(async () => {}),
    once: vi.fn(async () => '2\n'),
    undo: vi.fn(async () => {}),
    ...changes,
  };
}

test('a control that answers right is measured', async () => {
  const peer = madeUp({});
  expect(await measurePeer(peer, '2\n', bounds)).toMatchObject({ available: true, latencyMs: { count: 3 } });
  expect(peer.undo).toHaveBeenCalledOnce();
});

// The first answer, one in the serial part, one of those at once.
test.each([1, 4, 8])('a control whose answer number %i is wrong has no figures', async (wrong) => {
  let count = 0;
  const peer = madeUp({ once: async () => (++count === wrong ? '3\n' : '2\n') });
  const control = await measurePeer(peer, '2\n', bounds);
  expect(control).toEqual({
    name: 'made up',
    version: '1',
    available: false,
    reason: 'is installed and not usable: answered "3\\n", not "2\\n"',
  });
  expect(peer.undo).toHaveBeenCalledOnce();
});

test('a control that cannot be prepared says why, and what it made is undone', async () => {
  const peer = madeUp({ prepare: () => Promise.reject(new Error('mount: permission denied')) });
  const control = await measurePeer(peer, '2\n', bounds);
  expect(control).toMatchObject({ available: false, reason: expect.stringContaining('permission denied') });
  expect(peer.once).not.toHaveBeenCalled();
  expect(peer.undo).toHaveBeenCalledOnce();
});

test('controls that are absent or broken say what to do, and the plain child is measured all the same', async () => {
  const directory = useDirectory();
  useSearchPath({ runc: 'echo "broken runc" >&2; exit 1' });
  const progress: string[] = [];
  const controls = await measureControls({
    storeDir: useDirectory(),
    directory,
    runtime: 'node',
    quick: true,
    onProgress: (name) => progress.push(name),
  });
  // crun is looked for because runc does not work; that it is absent says less than why runc does not.
  expect(progress).toEqual(['docker run --rm', 'runc', 'crun', 'bubblewrap', 'child process']);
  expect(controls).toMatchObject([
    {
      name: 'docker run --rm',
      available: false,
      reason: expect.stringContaining('apt-get install docker.io'),
    },
    { name: 'runc', available: false, reason: expect.stringContaining('broken runc') },
    { name: 'bubblewrap', available: false, reason: expect.stringContaining('apt-get install bubblewrap') },
    { name: 'child process', available: true, version: process.versions.node },
  ]);
  expect(readdirSync(directory)).toEqual([]);
});

test('where there is no image to run on, a control says so', async () => {
  const { image, ...options } = peerOptions('node', useDirectory());
  useSearchPath({ bwrap: 'echo bubblewrap 0.8.0' });
  const layers = () =>
    openStore(options.directory)
      .resolve('node')
      .then((found) => found.layers);
  const control = await measurePeer(bubblewrap({ ...options, image: { ...image, layers } }), '2\n', bounds);
  expect(control).toMatchObject({ available: false, reason: expect.stringMatching(/not usable: .*node/) });
});

test('a docker without a daemon says so', async () => {
  useSearchPath({ docker: 'echo "Cannot connect to the Docker daemon" >&2; exit 1' });
  const control = await measurePeer(docker(peerOptions('node', useDirectory())), '2\n', bounds);
  expect(control).toMatchObject({
    available: false,
    version: null,
    reason: expect.stringMatching(/no docker daemon answers.*Cannot connect/),
  });
});
