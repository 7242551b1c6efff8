import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { sha256 } from '../../runtime/image/oci-layout.ts';
import { useRegistry } from '../support/registry.ts';
import { makeImage, makeLayer, putImage, useTask } from './make-image.ts';
import { useStore } from './use-store.ts';

const registry = useRegistry();
const bytes = (count: number) => randomBytes(count).toString('base64');
const image = makeImage(['a', 'b', 'c'].map((name) => makeLayer([{ path: name, data: bytes(2_000_000) }])));

test('a pull killed at any moment leaves a whole store, and the same pull succeeds then', async () => {
  const use = await useStore();
  await putImage(registry.host(), 'team/killed', '1', image);
  const reference = `${registry.host()}/team/killed:1`;
  const script = join(import.meta.dirname, 'pull-child.ts');
  const child = () =>
    spawn(process.execPath, ['--import', 'tsx', script, use.dir, use.launcherSocket, reference], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  const whole = await useStore();
  const from = performance.now();
  await whole.store.pull({ reference, insecure: true }, useTask());
  const lengthMs = performance.now() - from;

  const rounds = 8;
  for (let round = 0; round < rounds; round++) {
    const pulling = child();
    const exited = once(pulling, 'exit');
    await begun(pulling);
    const timer = setTimeout(() => pulling.kill('SIGKILL'), (lengthMs * round) / rounds);
    await exited;
    clearTimeout(timer);
    for (const name of (await use.content()).blobs) {
      if (/^[a-f0-9]{64}$/.test(name)) {
        expect(sha256(await readFile(join(use.dir, 'oci/blobs/sha256', name)))).toBe(`sha256:${name}`);
      }
    }
    // One that was too quick to be killed has to begin anew.
    for (const { layers } of await use.store.list()) {
      expect(layers).toHaveLength(3);
      await use.store.remove(reference, { force: false });
    }
  }
  await use.store.sweep();
  const pulled = await use.store.pull({ reference, insecure: true }, useTask());
  expect(pulled.digest).toBe(image.digest);
  expect(await readFile(join(use.dir, 'layers', pulled.layers[0] ?? '', 'c'), 'utf8')).toHaveLength(
    2_666_668,
  );
  const { blobs, layers, scratch } = await use.content();
  expect({ blobs: blobs.length, scratch }).toEqual({ blobs: 5, scratch: [] });
  expect(layers.filter((name) => /^[a-f0-9]{64}$/.test(name))).toEqual([...pulled.layers].sort());
});

test('a full disk is said, leaves a whole store, and with room the same works', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'oncebox-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', dir]);
  onTestFinished(() => {
    execFileSync('umount', ['-l', dir]);
    rmSync(dir, { recursive: true });
  });
  const use = await useStore(undefined, dir);
  await putImage(registry.host(), 'team/full', '1', image);
  const request = { reference: `${registry.host()}/team/full:1`, insecure: true };
  await expect(use.store.pull(request, useTask())).rejects.toMatchObject({ code: 'storage_full' });
  const large = Readable.from(
    (function* () {
      for (;;) yield randomBytes(1_000_000);
    })(),
  );
  await expect(use.store.importArchive(large, {}, useTask())).rejects.toMatchObject({ code: 'storage_full' });
  expect(await use.store.list()).toEqual([]);
  expect((await use.content()).scratch).toEqual([]);
  execFileSync('mount', ['-o', 'remount,size=100m', dir]);
  expect((await use.store.pull(request, useTask())).digest).toBe(image.digest);
});

/** Its first event is there: it pulls now. */
async function begun(child: ChildProcess): Promise<void> {
  if (!child.stdout) throw new Error('no output');
  await once(child.stdout, 'data');
}
