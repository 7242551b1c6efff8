import { spawn } from 'node:child_process';
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { serviceId } from '../../runtime/image/ids.ts';
import { useRegistry } from '../support/registry.ts';
import { makeImage, makeLayer, putImage, useTask } from './make-image.ts';
import { useStore } from './use-store.ts';

const registry = useRegistry();
const zipped = makeLayer([{ path: 'zipped', data: 'z'.repeat(50_000) }]);
const plain = makeLayer([{ path: 'plain', data: 'p'.repeat(50_000) }], 'none');

test.each([
  ['with compressed and uncompressed layers', makeImage([zipped, plain])],
  ["with Docker's media types", makeImage([zipped], { docker: true })],
])('an image %s has the same digest here, in the registry and elsewhere', async (_, image) => {
  const use = await useStore();
  const name = `${registry.host()}/pushed/${image.digest.slice(7, 19)}:1`;
  await use.store.addImage({
    manifestJson: image.manifest.toString(),
    configJson: image.config.toString(),
    blobs: image.blobs,
    reference: 'mine',
  });
  const task = useTask();
  expect((await use.store.push({ source: 'mine', target: name, insecure: true }, task)).digest).toBe(
    image.digest,
  );
  const totalBytes = [...image.blobs.values()].reduce((sum, { length }) => sum + length, 0);
  const bytes = totalBytes - image.manifest.length - image.config.length;
  expect(task.events.at(-1)).toEqual({ type: 'progress', doneBytes: bytes, totalBytes: bytes });
  const elsewhere = await useStore();
  const pulled = await elsewhere.store.pull({ reference: name, insecure: true }, useTask());
  expect(pulled.digest).toBe(image.digest);
  expect(pulled.manifestJson).toBe(image.manifest.toString());
  expect((await use.content()).scratch).toEqual([]);
});

test('a push without a registry, by digest, or of what is not here, is refused', async () => {
  const { store } = await useStore();
  const push = (target: string) => store.push({ source: 'mine', target, insecure: true }, useTask());
  await expect(push('mine:1')).rejects.toThrow('names no registry');
  await expect(push(`${registry.host()}/x@sha256:${'0'.repeat(64)}`)).rejects.toThrow('not a digest');
  await expect(push(`${registry.host()}/x`)).rejects.toMatchObject({ code: 'image_not_found' });
});

test('an ordinary user pulls: only the launcher is root', async () => {
  const use = await useStore(undefined, undefined, serviceId);
  for (const path of ['.', 'layers', 'oci', 'scratch', 'layer-info']) {
    await mkdir(join(use.dir, path), { recursive: true });
    await chown(join(use.dir, path), serviceId, serviceId);
  }
  await putImage(registry.host(), 'team/ordinary', '1', makeImage([zipped]));
  const script = join(import.meta.dirname, 'pull-child.ts');
  const reference = `${registry.host()}/team/ordinary:1`;
  const ids = [`--reuid=${serviceId}`, `--regid=${serviceId}`, '--clear-groups', '--no-new-privs'];
  const node = [process.execPath, '--import', 'tsx', script, use.dir, use.launcherSocket, reference];
  const child = spawn('setpriv', [...ids, ...node], { stdio: ['ignore', 'ignore', 'pipe'] });
  expect(await text(child.stderr)).toBe('');
  expect((await use.store.resolve(reference)).digest).toBe(makeImage([zipped]).digest);
});
