import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, lstat, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sandboxIdBase } from '../../runtime/image/ids.ts';
import { openStore } from '../../runtime/image/store.ts';

const run = promisify(execFile);
const payloadFiles = 6;
const payloadFileBytes = 8 * 1024 * 1024;
/** What every sandbox reads, whole. */
export const payloadBytes = payloadFiles * payloadFileBytes;
export const payloadPath = '/usr/share/sharing';

export interface BenchLayers {
  /** Where the launcher finds them. */
  readonly directory: string;
  /** What the zygote runs on, uppermost first. */
  readonly base: readonly string[];
  /** The payload, then the base image's, uppermost first. */
  readonly image: readonly string[];
  /** The same with a payload that no other sandbox has: what it would be without sharing. */
  withPrivateCopy(): Promise<readonly string[]>;
}

/**
 * Layers of the benchmark's own, so that nobody else's sandboxes read or map them: a copy of a base image's, and on top
 * of it a payload of random bytes, which no file system and no compression makes smaller.
 */
export async function makeBenchLayers(
  storeDir: string,
  reference: string,
  directory: string,
): Promise<BenchLayers> {
  await mkdir(directory, { recursive: true });
  const { layersDir, resolve } = openStore(storeDir);
  const { layers } = await resolve(reference);
  for (const hex of layers) await run('cp', ['-a', join(layersDir, hex), join(directory, hex)]);
  const contents = Array.from({ length: payloadFiles }, () => randomBytes(payloadFileBytes));

  async function addPayload(): Promise<string> {
    const hex = randomBytes(32).toString('hex');
    const parts = payloadPath.split('/').map((_, depth, all) => all.slice(0, depth + 1).join('/'));
    for (const part of parts) {
      await mkdir(join(directory, hex, part), { recursive: true });
      await chmod(join(directory, hex, part), 0o755);
      await chown(join(directory, hex, part), sandboxIdBase, sandboxIdBase);
    }
    for (const [index, content] of contents.entries()) {
      const file = join(directory, hex, payloadPath, `${index}.bin`);
      await writeFile(file, content, { mode: 0o644 });
      await chown(file, sandboxIdBase, sandboxIdBase);
    }
    return hex;
  }
  const shared = await addPayload();
  return {
    directory,
    base: layers,
    image: [shared, ...layers],
    withPrivateCopy: async () => [await addPayload(), ...layers],
  };
}

/** Bytes on disk of all that lies below, a file with several names once. */
export async function diskBytes(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const blocks = new Map<number, number>();
  for (const entry of entries) {
    const stats = await lstat(join(entry.parentPath, entry.name));
    blocks.set(stats.ino, stats.blocks * 512);
  }
  return [...blocks.values()].reduce((sum, bytes) => sum + bytes, 0);
}
