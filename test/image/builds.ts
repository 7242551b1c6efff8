import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { buildImage } from '../../runtime/image/build/builder.ts';
import type { BuildLimits } from '../../runtime/image/build/confined-build.ts';
import type { StoredImage } from '../../runtime/image/image.ts';
import { openLayerUnpacker } from '../../runtime/image/layer-unpacker.ts';
import {
  configSchema,
  indexSchema,
  manifestSchema,
  referenceAnnotation,
} from '../../runtime/image/oci-schemas.ts';
import { openStore, type Store } from '../../runtime/image/store.ts';
import { buildQuerySchema, type ImageEvent } from '../../sdk/contract/image.ts';
import { descendants, onceboxCgroups } from '../support/host.ts';
import { storeDir as baseStoreDir } from '../support/zones.ts';
import { makeTar, type TarEntry } from './make-tar.ts';

const native = resolve(import.meta.dirname, '../../runtime/native/build');
const run = promisify(execFile);
const instance = `test-build-${process.pid}`;

/**
 * At the end of a RUN whose output matters: waits until that has been heard, as the build's `heard` says. Buildah stops copying as
 * soon as it hears that the RUN has ended, before it has read what is left in the pipes (runCopyStdioPassData in its
 * run_common.go).
 */
export const untilHeard = '{ sleep 97530 || true; }';

interface BuildTask {
  /** Of the context, beside the Dockerfile. */
  files?: TarEntry[];
  /** Instead of a tar of Dockerfile and files. */
  context?: Readable;
  query?: Record<string, string>;
  limits?: Partial<BuildLimits>;
  signal?: AbortSignal;
  onEvent?: (event: ImageEvent) => void;
  /** Lines of output. When all have come, a RUN goes on that waits with `untilHeard`. */
  heard?: string[];
}

export interface TestBuilds {
  store: Store;
  /** Directory of the store; on the disk that builds write to. */
  directory: string;
  launcherPid: number;
  build(dockerfile: string, task?: BuildTask): Promise<{ image: StoredImage; lines: string[] }>;
  /** The message of a build that must fail, and its code. */
  failure(dockerfile: string, task?: BuildTask): Promise<{ code: string; message: string }>;
  /** A file of an image, from the uppermost of its layers that has it. */
  read(image: StoredImage, path: string): Promise<string>;
  /** Processes, mounts, cgroups and directories that are there because of builds. */
  census(): Promise<object>;
  /** Waits until the census is this again: what was cancelled goes in the background. */
  settled(census: object): Promise<void>;
  stopLauncher(signal: NodeJS.Signals): Promise<void>;
  startLauncher(): Promise<void>;
}

/** A launcher and a store of the test file's own, with the base image "bash"; all of it gone afterwards. */
export function useBuilds(): TestBuilds {
  let launcher: ChildProcessByStdio<Writable, Readable, null>;
  const tools = {} as TestBuilds;
  const socket = () => join(tools.directory, 'launcher.sock');
  const layersDir = () => join(tools.directory, 'layers');

  beforeAll(async () => {
    tools.directory = await mkdtemp(join(tmpdir(), 'oncebox-test-builds-'));
    await mkdir(layersDir());
    await tools.startLauncher();
    await copyBase('bash', tools.directory);
    const unpacker = openLayerUnpacker({ launcherSocket: socket(), layersDir: layersDir() });
    tools.store = openStore(tools.directory, { unpacker });
  });
  afterAll(async () => {
    await tools.stopLauncher('SIGTERM');
    await rm(tools.directory, { recursive: true });
  });

  tools.startLauncher = async () => {
    launcher = spawn(
      join(native, 'oncebox-launcher'),
      [
        ...['--socket', socket(), '--layers', layersDir(), '--platform', join(native, 'platform')],
        ...['--worker-uid', '0', '--instance', instance],
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    await once(launcher.stdout, 'data');
    tools.launcherPid = launcher.pid as number;
  };

  tools.stopLauncher = async (signal) => {
    const exited = once(launcher, 'exit');
    launcher.kill(signal);
    await exited;
  };

  tools.build = async (dockerfile, task = {}) => {
    const { files = [], context, query, limits = {}, signal, onEvent, heard } = task;
    const lines: string[] = [];
    let goesOn: Promise<void> | undefined;
    const tar = () => Readable.from([makeTar([{ path: 'Dockerfile', data: dockerfile }, ...files])]);
    const image = await buildImage(
      context ?? tar(),
      buildQuerySchema.parse({ reference: 'localhost/built', ...query }),
      {
        store: tools.store,
        launcherSocket: socket(),
        // A line that does not come is not waited for as long as a build may take.
        limits: heard ? { wallMs: 150_000, ...limits } : limits,
        signal: signal ?? new AbortController().signal,
        onEvent: (event) => {
          if (event.type === 'output') lines.push(event.line);
          onEvent?.(event);
          if (goesOn || !heard?.every((line) => lines.includes(line))) return;
          goesOn = endWait(tools.launcherPid);
          goesOn.catch(() => {}); // said when the build is over
        },
      },
    ).finally(() => goesOn);
    return { image, lines };
  };

  tools.failure = async (dockerfile, task) => {
    const error = await tools.build(dockerfile, task).then(
      () => expect.fail('the build succeeded'),
      (reason: unknown) => reason as Error & { code: string },
    );
    return { code: error.code, message: error.message };
  };

  tools.read = async (image, path) => {
    for (const layer of image.layers) {
      const text = await readFile(join(layersDir(), layer, path), 'utf8').catch(() => undefined);
      if (text !== undefined) return text;
    }
    throw new Error(`${path} is in no layer`);
  };

  tools.census = async () => ({
    processes: (await descendants(tools.launcherPid)).length,
    mounts: (await readFile('/proc/self/mountinfo', 'utf8'))
      .split('\n')
      .filter((line) => line.includes(tools.directory)),
    cgroups: (await onceboxCgroups()).filter((path) => path.includes(`${instance}/`)),
    directories: (await readdir(layersDir())).filter((name) => name.startsWith('.')),
    scratch: await readdir(join(tools.directory, 'scratch')).catch(() => []),
  });

  tools.settled = async (census) => {
    await expect.poll(tools.census, { timeout: 120_000, interval: 100 }).toEqual(census);
  };

  return tools;
}

/** Ends what `untilHeard` waits for, which may not have begun yet. */
async function endWait(launcherPid: number): Promise<void> {
  await vi.waitFor(
    async () => {
      for (const pid of await descendants(launcherPid)) {
        const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        if (command === 'sleep\0' + '97530\0') return process.kill(pid);
      }
      throw new Error('no RUN waits to be heard');
    },
    { timeout: 120_000 },
  );
}

/** A base image into a store of ours; its blobs as links, for nobody writes to them. */
async function copyBase(name: string, directory: string): Promise<void> {
  const base = join(baseStoreDir, 'oci');
  const blobPath = (root: string, digest: string) =>
    join(root, 'blobs/sha256', digest.slice('sha256:'.length));
  const read = (digest: string) => readFile(blobPath(base, digest), 'utf8');
  const index = indexSchema.parse(JSON.parse(await readFile(join(base, 'index.json'), 'utf8')));
  const full = `localhost/${name}:latest`;
  const found = index.manifests.find(({ annotations }) =>
    [name, full].includes(annotations?.[referenceAnnotation] ?? ''),
  );
  if (!found) throw new Error(`there is no base image ${name}: run "npm run setup"`);
  const manifest = manifestSchema.parse(JSON.parse(await read(found.digest)));
  const config = configSchema.parse(JSON.parse(await read(manifest.config.digest)));
  const oci = join(directory, 'oci');
  await mkdir(join(oci, 'blobs/sha256'), { recursive: true });
  for (const { digest } of [found, manifest.config, ...manifest.layers]) {
    await link(blobPath(base, digest), blobPath(oci, digest)).catch(() =>
      copyFile(blobPath(base, digest), blobPath(oci, digest)),
    );
  }
  await writeFile(
    join(oci, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...found, annotations: { [referenceAnnotation]: full } }],
    }),
  );
  for (const diffId of config.rootfs.diff_ids) {
    await run('cp', [
      '-a',
      join(baseStoreDir, 'layers', diffId.slice('sha256:'.length)),
      join(directory, 'layers'),
    ]);
  }
}
