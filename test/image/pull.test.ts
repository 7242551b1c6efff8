import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sha256 } from '../../runtime/image/oci-layout.ts';
import { mediaTypes } from '../../runtime/image/oci-schemas.ts';
import { useRegistry } from '../support/registry.ts';
import { makeImage, makeLayer, putImage, putManifest, useTask } from './make-image.ts';
import { useStore } from './use-store.ts';

const registry = useRegistry();
const bottom = makeLayer([
  { path: 'etc/', type: 'Directory', mode: 0o755 },
  { path: 'etc/os', data: 'oncebox' },
]);
const top = makeLayer([{ path: 'app', data: 'one' }]);
const other = makeLayer([{ path: 'app', data: 'two' }], 'none');
const app = makeImage([bottom, top], { config: { Cmd: ['/app'] } });
const pulled = (path: string) => ({ reference: `${registry.host()}/${path}`, insecure: true });

test('a pull by tag stores manifest, configuration and layers byte for byte, and says how far it is', async () => {
  const { store } = await useStore();
  await putImage(registry.host(), 'team/app', '1', app);
  const task = useTask();
  const image = await store.pull(pulled('team/app:1'), task);
  expect(image).toMatchObject({
    digest: app.digest,
    reference: `${registry.host()}/team/app:1`,
    config: { Cmd: ['/app'] },
    manifestJson: app.manifest.toString(),
    configJson: app.config.toString(),
    layers: app.diffIds.map((diffId) => diffId.slice(7)).reverse(),
  });
  const steps = task.events.map((event) => (event.type === 'step' ? event.step : event.type));
  expect(steps.filter((step) => step !== 'progress')).toEqual([
    'resolve',
    'download',
    'verify',
    'verify',
    'unpack',
    'unpack',
  ]);
  expect(await store.resolve(`${registry.host()}/team/app:1`)).toEqual(image);
  expect(await store.resolve(app.digest)).toEqual(image);
});

test('a pull by digest is checked, and Docker manifests keep their digest', async () => {
  const { store } = await useStore();
  const docker = makeImage([bottom, top], { docker: true });
  await putImage(registry.host(), 'team/docker', '1', docker);
  const image = await store.pull(pulled(`team/docker@${docker.digest}`), useTask());
  expect(image.digest).toBe(docker.digest);
  expect(image.reference).toBe(`${registry.host()}/team/docker@${docker.digest}`);
  expect(JSON.parse(image.manifestJson).mediaType).toBe(mediaTypes.dockerManifest);
});

test('a tag that moves leaves the old image without a name', async () => {
  const { store } = await useStore();
  await putImage(registry.host(), 'team/moving', 'latest', app);
  await store.pull(pulled('team/moving'), useTask());
  const next = makeImage([bottom, other]);
  await putImage(registry.host(), 'team/moving', 'latest', next);
  await store.pull(pulled('team/moving'), useTask());
  const names = (await store.list()).map(({ reference, digest }) => [reference, digest]);
  expect(names).toEqual(
    expect.arrayContaining([
      [null, app.digest],
      [`${registry.host()}/team/moving:latest`, next.digest],
    ]),
  );
});

describe('an index of several architectures', () => {
  const foreign = makeImage([top], { architecture: 's390x' });
  const indexOf = (...images: (typeof app)[]) =>
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.index,
        manifests: images.map(({ descriptor }) => descriptor),
      }),
    );

  test('gives the image for this machine, found again by the digest of the index', async () => {
    const { store } = await useStore();
    await putImage(registry.host(), 'team/multi', 'foreign', foreign);
    await putImage(registry.host(), 'team/multi', 'ours', app);
    const index = indexOf(foreign, app);
    await putManifest(registry.host(), 'team/multi', '1', index, mediaTypes.index);
    const image = await store.pull(pulled('team/multi:1'), useTask());
    expect(image.digest).toBe(app.digest);
    const byDigest = `${registry.host()}/team/multi@${sha256(index)}`;
    expect((await store.pull({ reference: byDigest, insecure: true }, useTask())).digest).toBe(app.digest);
    expect((await store.resolve(byDigest)).digest).toBe(app.digest);
  });

  test('without one for this machine is refused, saying which there are; so is an image of another machine', async () => {
    const { store, content } = await useStore();
    await putImage(registry.host(), 'team/alien', 'only', foreign);
    await putManifest(registry.host(), 'team/alien', '1', indexOf(foreign), mediaTypes.index);
    for (const tag of ['1', 'only']) {
      await expect(store.pull(pulled(`team/alien:${tag}`), useTask())).rejects.toMatchObject({
        code: 'invalid_image',
        message: expect.stringContaining('linux/s390x'),
      });
    }
    expect(await content()).toEqual({ blobs: [], layers: [], scratch: [] });
  });
});

test('a second pull of layers that are there fetches none of them', async () => {
  const { store } = await useStore();
  const sibling = makeImage([bottom, other]);
  await putImage(registry.host(), 'team/first', '1', app);
  await putImage(registry.host(), 'team/second', '1', sibling);
  await store.pull(pulled('team/first:1'), useTask());
  await store.pull(pulled('team/second:1'), useTask());
  const fetched = () => blobRequests('team/second');
  await expect.poll(fetched).toContain(sha256(other.blob));
  expect(await fetched()).not.toContain(sha256(bottom.blob));
});

test('pulls at the same time that share a layer fetch it once; equal pulls are one, with events for each', async () => {
  const { store, content } = await useStore();
  const big = makeLayer([{ path: 'big', data: 'x'.repeat(3_000_000) }], 'none');
  const one = makeImage([big, top]);
  const two = makeImage([big, other]);
  await putImage(registry.host(), 'both/one', '1', one);
  await putImage(registry.host(), 'both/two', '1', two);
  const tasks = [useTask(), useTask(), useTask()] as const;
  const [first, again] = await Promise.all([
    store.pull(pulled('both/one:1'), tasks[0]),
    store.pull(pulled('both/one:1'), tasks[1]),
    store.pull(pulled('both/two:1'), tasks[2]),
  ]);
  expect(again).toBe(first);
  expect(tasks[1].events).toEqual(tasks[0].events);
  const fetches = async () => [...(await blobRequests('both/one')), ...(await blobRequests('both/two'))];
  const ofBig = async () => (await fetches()).filter((digest) => digest === sha256(big.blob));
  await expect.poll(ofBig, { timeout: 60_000 }).toHaveLength(1);
  expect((await content()).layers).toHaveLength(3);
});

test('an aborted pull ends at once and leaves nothing half-done; of two callers, one may leave', async () => {
  const { store, content } = await useStore();
  await putImage(registry.host(), 'team/abort', '1', app);
  const leaving = useTask();
  const staying = useTask();
  const pulls = [store.pull(pulled('team/abort:1'), leaving), store.pull(pulled('team/abort:1'), staying)];
  leaving.abort(new Error('hung up'));
  await expect(pulls[0]).rejects.toThrow('hung up');
  expect((await pulls[1])?.digest).toBe(app.digest);

  const alone = useTask();
  const second = await useStore();
  const pull = second.store.pull(pulled('team/abort:1'), {
    ...alone,
    onEvent: () => alone.abort(new Error('gone')),
  });
  await expect(pull).rejects.toThrow('gone');
  expect(await second.content()).toEqual({ blobs: [], layers: [], scratch: [] });
  expect((await content()).scratch).toEqual([]);
});

describe('what is wrong is said', () => {
  test('no such image, no such registry, no registry at all', async () => {
    const { store, content } = await useStore();
    const failing = async (reference: string) =>
      store
        .pull({ reference, insecure: true }, useTask())
        .catch((error) => `${error.code}: ${error.message}`);
    expect(await failing(`${registry.host()}/no/such:1`)).toMatch(/^registry_failed: .*has no such image/);
    expect(await failing('127.0.0.1:1/x')).toMatch(/^registry_failed: .*cannot be reached/);
    expect(await failing('Upper/Case')).toMatch(/^invalid_request: .*"Upper"|lower case/);
    expect(await content()).toEqual({ blobs: [], layers: [], scratch: [] });
  });

  test('a blob that is damaged in the registry, and a layer that is not what the configuration says', async () => {
    const { store, content } = await useStore();
    const damaged = makeImage([bottom, makeLayer([{ path: 'x', data: 'to be damaged' }])]);
    await putImage(registry.host(), 'team/damaged', '1', damaged);
    const [, blob = ''] = JSON.parse(damaged.manifest.toString()).layers.map(
      (l: { digest: string }) => l.digest,
    );
    const path = join(
      registry.storage(),
      'docker/registry/v2/blobs/sha256',
      blob.slice(7, 9),
      blob.slice(7),
      'data',
    );
    const bytes = await readFile(path);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expect(store.pull(pulled('team/damaged:1'), useTask())).rejects.toMatchObject({
      code: 'invalid_image',
    });

    const swapped = makeImage([{ ...bottom, tar: Buffer.from('another tar') }]);
    await putImage(registry.host(), 'team/swapped', '1', swapped);
    await expect(store.pull(pulled('team/swapped:1'), useTask())).rejects.toMatchObject({
      code: 'invalid_image',
    });
    expect(await store.list()).toEqual([]);
    expect((await content()).scratch).toEqual([]);
    await putImage(registry.host(), 'team/good', '1', app);
    expect((await store.pull(pulled('team/good:1'), useTask())).digest).toBe(app.digest);
  });

  test('a compressed layer that is none, and a layer of a kind that we do not read', async () => {
    const { store } = await useStore();
    const plain = makeImage([{ ...bottom, blob: Buffer.from('not gzip') }]);
    await putImage(registry.host(), 'team/plain', '1', plain);
    await expect(store.pull(pulled('team/plain:1'), useTask())).rejects.toThrow('cannot decompress layer');
    const alien = makeImage([{ ...bottom, mediaType: 'application/vnd.example.thing' }]);
    await putImage(registry.host(), 'team/thing', '1', alien);
    await expect(store.pull(pulled('team/thing:1'), useTask())).rejects.toThrow('unsupported media type');
  });

  test('zstd layers are read', async () => {
    const { store } = await useStore();
    const blob = execFileSync('zstd', ['-qc'], { input: top.tar });
    const image = makeImage([{ tar: top.tar, blob, mediaType: `${mediaTypes.layer}+zstd` }]);
    await putImage(registry.host(), 'team/zstd', '1', image);
    expect((await store.pull(pulled('team/zstd:1'), useTask())).digest).toBe(image.digest);
    const cut = makeImage([
      { tar: top.tar, blob: blob.subarray(0, 30), mediaType: `${mediaTypes.layer}+zstd` },
    ]);
    await putImage(registry.host(), 'team/cut', '1', cut);
    const fresh = await useStore();
    await expect(fresh.store.pull(pulled('team/cut:1'), useTask())).rejects.toThrow(
      'cannot decompress layer',
    );
  });
});

test('a connection that drops is tried again', async () => {
  const { store } = await useStore();
  await putImage(registry.host(), 'team/flaky', '1', app);
  let connections = 0;
  const proxy = createServer((socket) => {
    connections += 1;
    if (connections === 1) return socket.destroy();
    const [host, port] = registry.host().split(':');
    const upstream = connect(Number(port), host);
    socket.on('error', () => upstream.destroy());
    upstream.on('error', () => socket.destroy());
    return socket.pipe(upstream).pipe(socket);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  onTestFinished(() => void proxy.close());
  const { port } = proxy.address() as AddressInfo;
  const image = await store.pull({ reference: `127.0.0.1:${port}/team/flaky:1`, insecure: true }, useTask());
  expect(image.digest).toBe(app.digest);
  expect(connections).toBeGreaterThan(1);
});

/** Digests of blobs that were fetched from a repository. */
async function blobRequests(repository: string): Promise<string[]> {
  const pattern = new RegExp(`^GET /v2/${repository}/blobs/(sha256:[a-f0-9]{64}) `);
  return (await registry.requests()).flatMap((line) => pattern.exec(line)?.[1] ?? []);
}
