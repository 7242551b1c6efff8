import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import { sandboxIdBase } from '../../runtime/image/ids.ts';
import {
  type LayerUnpacker,
  openLayerUnpacker,
  type UnpackedLayer,
  type UnpackLimits,
} from '../../runtime/image/layer-unpacker.ts';
import { startLauncher, type TestLauncher } from './launcher.ts';

const run = promisify(execFile);
const listTree = resolve(import.meta.dirname, '../image/unpack/list-tree.py');

/** What a path is: its mode, owner, time, content's digest, attributes. */
export type Tree = Record<string, Record<string, unknown>>;

export interface UnpackedLayers {
  /** A directory of the test's own, with `layers/` in it. */
  readonly dir: string;
  readonly layersDir: string;
  readonly launcher: TestLauncher;
  readonly unpacker: LayerUnpacker;
  /** Unpacks a tar under its own digest. */
  unpack(tar: Uint8Array, lowers?: readonly string[]): Promise<UnpackedLayer>;
  /** What lies in the layers directory. */
  names(): Promise<string[]>;
}

/** An empty layers directory with a launcher; both are gone when the test has finished. */
export async function useUnpackedLayers(limits: Partial<UnpackLimits> = {}): Promise<UnpackedLayers> {
  const dir = await mkdtemp(join(tmpdir(), 'oncebox-layers-'));
  const layersDir = join(dir, 'layers');
  await mkdir(layersDir);
  const launcher = await startLauncher(dir, layersDir);
  onTestFinished(async () => {
    await launcher.stop();
    await rm(dir, { recursive: true, force: true });
  });
  const unpacker = openLayerUnpacker({ launcherSocket: launcher.socket, layersDir, limits });
  return {
    dir,
    layersDir,
    launcher,
    unpacker,
    unpack: (tar, lowers = []) =>
      unpacker.unpack({ diffId: digestOf(tar), chain: lowers, lowers }, Readable.from([tar])),
    names: () => readdir(layersDir),
  };
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** All that is below a directory, ids as in an image. */
export async function treeOf(dir: string, idBase = sandboxIdBase): Promise<Tree> {
  const { stdout } = await run('python3', [listTree, dir, String(idBase)], { maxBuffer: 2 ** 28 });
  return JSON.parse(stdout);
}

/** What a sandbox sees of layers that are stacked, uppermost first. */
export async function stackedTree(dirs: readonly string[], mountPoint: string): Promise<Tree> {
  const options = `ro,userxattr,lowerdir=${dirs.join(':')}`;
  const script = 'mount -t overlay overlay -o "$1" "$2" && exec python3 "$3" "$2" "$4"';
  const { stdout } = await run(
    'unshare',
    ['-m', 'sh', '-c', script, 'sh', options, mountPoint, listTree, String(sandboxIdBase)],
    { maxBuffer: 2 ** 28 },
  );
  return JSON.parse(stdout);
}
