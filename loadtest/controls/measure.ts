import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import type { UndoStack } from '../../services/shared/shutdown.ts';
import { interruptible } from '../floors/interruptible.ts';
import type { Control } from '../report/schema.ts';
import { type LoadRuntime, leastProgram } from '../workloads/snippets.ts';
import { bubblewrap } from './bubblewrap.ts';
import { childProcess } from './child-process.ts';
import { createCommands } from './commands.ts';
import { docker } from './docker.ts';
import { measurePeer } from './measure-peer.ts';
import { ociRuntime } from './oci-runtime.ts';
import type { ImageSource, Peer, PeerOptions, PeerProgram } from './peer.ts';

export interface ControlsOptions {
  /** Holds the runtime's image; without it only the plain child process can be measured. */
  storeDir: string;
  /** Exists; what is made in it is gone when this settles. */
  directory: string;
  runtime: LoadRuntime;
  /** A third of the samples, and of the time. */
  quick: boolean;
  onProgress: (text: string) => void;
  /** Running it interrupts the measurement, and waits until nothing of it is left. */
  undo?: UndoStack;
}

interface Method {
  /** Of serial samples: a plain child takes tens of milliseconds, Docker most of a second. */
  serialCount: number;
  /** The first that works is measured, and that alone. */
  alternatives: readonly ((options: PeerOptions) => Peer)[];
}

const methods: readonly Method[] = [
  { serialCount: 15, alternatives: [docker] },
  {
    serialCount: 30,
    alternatives: [(options) => ociRuntime('runc', options), (options) => ociRuntime('crun', options)],
  },
  { serialCount: 50, alternatives: [bubblewrap] },
  { serialCount: 50, alternatives: [childProcess] },
];
const rateBounds = { rateMaxCount: 1000, rateMaxMs: 10_000 };
const quickRateBounds = { rateMaxCount: 300, rateMaxMs: 2_000 };

/** How an interpreter is told to run a text. */
const textFlags: Record<LoadRuntime, readonly [string, string]> = {
  node: ['node', '-e'],
  python: ['python3', '-c'],
};

/**
 * The least program in a fresh container of each peer: latency one after another, rate with two for each core in flight.
 * A peer that is absent, does not work or answers wrongly is `available: false` with the reason. Rejects when
 * interrupted.
 */
export function measureControls(options: ControlsOptions): Promise<Control[]> {
  return interruptible(options.undo, (signal) => measureAll(options, signal));
}

async function measureAll(options: ControlsOptions, signal: AbortSignal): Promise<Control[]> {
  const { storeDir, runtime, quick } = options;
  const commands = createCommands(signal);
  const store = openStore(storeDir);
  const image: ImageSource = {
    layersDir: store.layersDir,
    layers: async () => (await store.resolve(runtime)).layers,
  };
  const program = programOf(runtime);
  const inFlight = 2 * availableParallelism();

  async function measureOne(make: Method['alternatives'][number], serialCount: number): Promise<Control> {
    const directory = await mkdtemp(join(options.directory, 'control-'));
    try {
      const peer = make({ commands, image, program, directory });
      options.onProgress(peer.name);
      const bounds = { serialCount, inFlight, ...(quick ? quickRateBounds : rateBounds) };
      return await measurePeer(peer, program.stdout, bounds);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  const controls: Control[] = [];
  for (const { serialCount, alternatives } of methods) {
    const count = quick ? Math.ceil(serialCount / 3) : serialCount;
    const tried: Control[] = [];
    for (const make of alternatives) {
      const control = await measureOne(make, count);
      signal.throwIfAborted();
      tried.push(control);
      if (control.available) break;
    }
    const [first] = tried;
    const chosen = tried.find((control) => control.available) ?? first;
    if (chosen !== undefined) controls.push(chosen);
  }
  return controls;
}

function programOf(runtime: LoadRuntime): PeerProgram {
  const { program, stdout } = leastProgram(runtime);
  const code = program.files.map(({ content }) => content).join('');
  return { argv: [...textFlags[runtime], code], env: { PATH: defaultSearchPath }, stdout };
}
