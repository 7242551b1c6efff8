import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';

export const run = promisify(execFile);
const quietly = '--loglevel=error';
export const repo = resolve(import.meta.dirname, '../..');

interface PackedSdk {
  /** What `npm pack` made. */
  readonly tarball: string;
  /** A project that was empty before the tarball was installed, with the programs of these tests. */
  readonly project: string;
}

/** The SDK as its users get it: built, packed, and installed in an empty project. Needs no registry. */
export function usePackedSdk(): PackedSdk {
  const packed = {} as { -readonly [Name in keyof PackedSdk]: PackedSdk[Name] };
  let directory: string | undefined;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'oncebox-sdk-'));
    packed.project = join(directory, 'project');
    packed.tarball = await pack(join(repo, 'sdk'), join(directory, 'sdk'));
    const zod = await pack(join(repo, 'node_modules/zod'), join(directory, 'zod'));
    await cp(join(import.meta.dirname, 'programs'), packed.project, { recursive: true });
    await writeFile(join(packed.project, 'package.json'), '{ "name": "empty", "private": true }\n');
    const options = ['--offline', '--no-audit', '--no-fund', quietly];
    await run('npm', ['install', ...options, packed.tarball, zod], { cwd: packed.project });
    await symlink(join(repo, 'node_modules/@types'), join(packed.project, 'node_modules/@types'));
  }, 900_000);
  afterAll(async () => {
    if (directory) await rm(directory, { recursive: true });
  });
  return packed;
}

async function pack(source: string, destination: string): Promise<string> {
  await run('mkdir', ['--parents', destination]);
  // One after another: each builds it anew in the same place.
  await run('flock', [source, 'npm', 'pack', '--pack-destination', destination, quietly], { cwd: source });
  const [name = ''] = await readdir(destination);
  return join(destination, name);
}
