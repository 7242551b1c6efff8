import { execFile } from 'node:child_process';
import { lstat, mkdir, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { sandboxIdBase } from '../../runtime/image/ids.ts';
import { LayerConnection } from '../../runtime/image/layer-connection.ts';
import { openLayerUnpacker } from '../../runtime/image/layer-unpacker.ts';
import { encodeStrings, frameType } from '../../runtime/zygote/protocol.ts';
import { descendants } from '../support/host.ts';
import { startLauncher } from '../support/launcher.ts';
import { digestOf, type UnpackedLayers, useUnpackedLayers } from '../support/unpacked-layers.ts';
import { makeTar } from './make-tar.ts';
import { useCanary } from './unpack/canary.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;
const patience = { timeout: 60_000 };

/** The beginning of a large file; the rest when `resume` is called, or never. */
function slowTar(bytes = 8 * MiB) {
  const tar = makeTar([
    { path: 'd/', type: 'Directory' },
    { path: 'd/file', data: Buffer.alloc(bytes, 7) },
  ]);
  const stream = new PassThrough();
  stream.write(tar.subarray(0, tar.length / 2));
  return {
    request: { diffId: digestOf(tar), chain: [], lowers: [] },
    stream,
    resume: () => stream.end(tar.subarray(tar.length / 2)),
  };
}

/** Of one that may reject while something else is awaited. */
function rejectionOf(promise: Promise<unknown>) {
  promise.catch(() => {});
  return expect(promise).rejects;
}

/** Resolves when half of the tar is on disk. */
async function halfDone({ layersDir, names }: UnpackedLayers): Promise<string> {
  return vi.waitFor(async () => {
    const name = (await names()).find((found) => found.startsWith('.unpacking-')) as string;
    const { size } = await lstat(join(layersDir, name, 'd', 'file'));
    if (size < 3 * MiB) throw new Error('not yet');
    return name;
  }, patience);
}

test('the process that reads an archive sees its layer and nothing else, and can do nothing but write there', async () => {
  const layers = await useUnpackedLayers();
  const below = await layers.unpack(makeTar([{ path: 'below' }]));
  const { request, stream, resume } = slowTar();
  const unpacking = layers.unpacker.unpack({ ...request, lowers: [below.name] }, stream);
  const name = await halfDone(layers);
  const [pid] = await descendants(layers.launcher.pid);
  const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8');

  const mounts = (await read('mountinfo')).trimEnd().split('\n');
  expect(mounts).toHaveLength(1);
  expect(mounts[0]).toMatch(new RegExp(`/layers/${name} / rw,nosuid,nodev,noexec`));
  const fds = await Promise.all(
    (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`)),
  );
  const known = /^(\/dev\/null|socket:\[\d+\]|\/memfd:unpack \(deleted\)|\/|\/d|\/d\/file)$/;
  expect(fds.filter((target) => !known.test(target))).toEqual([]);
  const status = Object.fromEntries((await read('status')).split('\n').map((line) => line.split(':\t')));
  expect(status).toMatchObject({ NoNewPrivs: '1', Seccomp: '2', CapBnd: expect.any(String), Groups: ' ' });
  expect(status.Uid.split('\t')).toEqual(Array(4).fill(String(sandboxIdBase)));
  // chown, dac_override, fowner, fsetid, setfcap
  expect(status.CapEff).toBe((0x1bn | (1n << 31n)).toString(16).padStart(16, '0'));
  expect((await read('uid_map')).trim().split(/ +/)).toEqual(['0', String(sandboxIdBase), '65536']);
  for (const kind of ['user', 'mnt', 'pid', 'net', 'ipc', 'uts']) {
    const [own, ours] = await Promise.all([pid, 'self'].map((of) => readlink(`/proc/${of}/ns/${kind}`)));
    expect(own).not.toBe(ours);
  }
  resume();
  expect((await unpacking).entries).toBe(2);
});

describe('interrupted', () => {
  test('by its caller: it rejects with his reason, leaving nothing', async () => {
    const layers = await useCanary();
    const { request, stream } = slowTar();
    const abort = new AbortController();
    const unpacking = layers.unpacker.unpack({ ...request, signal: abort.signal }, stream);
    const rejected = expect(unpacking).rejects.toThrow('changed my mind');
    await halfDone(layers);
    abort.abort(new Error('changed my mind'));
    await rejected;
    expect(stream.destroyed).toBe(true);
    await layers.nothingElseThan([]);
  });

  test('by its source: it rejects with the error of that', async () => {
    const layers = await useCanary();
    const { request, stream } = slowTar();
    const rejected = expect(layers.unpacker.unpack(request, stream)).rejects.toThrow('the registry hung up');
    await halfDone(layers);
    stream.destroy(new Error('the registry hung up'));
    await rejected;
    await layers.nothingElseThan([]);
  });

  test('by bytes that are not those asked for', async () => {
    const layers = await useCanary();
    const tar = makeTar([{ path: 'file', data: 'other' }]);
    const rejected = expect(
      layers.unpacker.unpack({ diffId: 'a'.repeat(64), chain: [], lowers: [] }, Readable.from([tar])),
    ).rejects;
    await rejected.toMatchObject({ code: 'invalid', message: expect.stringContaining(digestOf(tar)) });
    await layers.nothingElseThan([]);
  });

  test('by a source that gives nothing any more', async () => {
    const layers = await useCanary({ stallMs: 100 });
    const { request, stream } = slowTar();
    const rejected = expect(layers.unpacker.unpack(request, stream)).rejects;
    await rejected.toMatchObject({ code: 'invalid', message: expect.stringContaining('for 100 ms') });
    await layers.nothingElseThan([]);
  });

  test('by SIGKILL of the process that unpacks', async () => {
    const layers = await useCanary();
    const { request, stream } = slowTar();
    const rejected = rejectionOf(layers.unpacker.unpack(request, stream));
    await halfDone(layers);
    const pids = await descendants(layers.launcher.pid);
    expect(pids).toHaveLength(1);
    process.kill(pids[0] as number, 'SIGKILL');
    await rejected.toMatchObject({ code: 'lost', message: expect.stringContaining('signal 9') });
    await layers.nothingElseThan([]);
  });

  test('by the death of its caller, before the end and after it', async () => {
    const layers = await useCanary();
    const tar = makeTar([{ path: 'd/file', data: Buffer.alloc(MiB) }]);
    for (const length of [tar.length / 2, tar.length]) {
      const connection = await LayerConnection.open(layers.launcher.socket);
      connection.send(frameType.UNPACK, encodeStrings(['', '1000000000', '10', '60000']));
      await connection.answer(frameType.READY);
      await connection.write(tar.subarray(0, length), new AbortController().signal);
      if (length === tar.length) {
        connection.end();
        await connection.answer(frameType.UNPACKED);
        expect(await layers.names()).toHaveLength(2);
      }
      connection.close();
      await vi.waitFor(async () => expect(await layers.names()).toEqual(['canary']), patience);
    }
    await layers.nothingElseThan([]);
  });

  test('by SIGKILL of the launcher: no process stays, and the next launcher removes what is left', async () => {
    const layers = await useUnpackedLayers();
    const { request, stream } = slowTar();
    const rejected = rejectionOf(layers.unpacker.unpack(request, stream));
    const name = await halfDone(layers);
    const [pid] = await descendants(layers.launcher.pid);
    // One that lives and has the same store does not touch it.
    const other = await startLauncher(await mkdirIn(layers.dir, 'other'), layers.layersDir);
    onTestFinished(() => other.stop());
    expect(await layers.names()).toEqual([name]);
    await layers.launcher.stop('SIGKILL');
    await rejected.toMatchObject({ code: 'lost' });
    await vi.waitFor(async () => expect(await isAlive(pid as number)).toBe(false), patience);
    const next = await startLauncher(await mkdirIn(layers.dir, 'next'), layers.layersDir);
    onTestFinished(() => next.stop());
    await vi.waitFor(async () => expect(await layers.names()).toEqual([]), patience);
    const again = slowTar();
    again.resume();
    const unpacker = openLayerUnpacker({ launcherSocket: next.socket, layersDir: layers.layersDir });
    expect((await unpacker.unpack(again.request, again.stream)).entries).toBe(2);
  });

  test('by a full disk, in bytes or in inodes', async () => {
    const layers = await useUnpackedLayers();
    const { dir } = layers;
    const small = await mkdirIn(dir, 'small');
    await run('mount', ['-t', 'tmpfs', '-o', 'size=2m,nr_inodes=200', 'tmpfs', small]);
    onTestFinished(async () => void (await run('umount', [small])));
    const launcher = await startLauncher(await mkdirIn(dir, 'second'), small);
    onTestFinished(() => launcher.stop());
    const unpacker = openLayerUnpacker({ launcherSocket: launcher.socket, layersDir: small });
    const unpack = (tar: Uint8Array) =>
      unpacker.unpack({ diffId: digestOf(tar), chain: [], lowers: [] }, Readable.from([tar]));
    const fills = {
      data: makeTar([{ path: 'small' }, { path: 'large', data: Buffer.alloc(4 * MiB, 1) }]),
      inodes: makeTar(
        Array.from({ length: 300 }, (_, i) => ({ path: `d${i}/`, type: 'Directory' as const })),
      ),
    };
    for (const tar of Object.values(fills)) {
      const rejected = expect(unpack(tar)).rejects;
      await rejected.toMatchObject({ code: 'full', message: expect.stringContaining('is full') });
      expect(await readdir(small)).toEqual([]);
      expect((await unpack(makeTar([{ path: 'small', data: 'x' }]))).entries).toBe(1);
      await unpacker.remove(digestOf(makeTar([{ path: 'small', data: 'x' }])));
    }
  });

  test('by too many at once: a clear error, and room again when one is done', async () => {
    const layers = await useUnpackedLayers();
    const slow = Array.from({ length: 16 }, () => slowTar());
    const abort = new AbortController();
    const unpackings = slow.map(({ request, stream }) =>
      layers.unpacker.unpack({ ...request, signal: abort.signal }, stream),
    );
    const settled = Promise.allSettled(unpackings);
    await vi.waitFor(async () => expect(await layers.names()).toHaveLength(16), patience);
    const small = makeTar([{ path: 'small' }]);
    await expect(layers.unpack(small)).rejects.toThrow('too many layers are unpacked');
    abort.abort(new Error('enough'));
    await settled;
    expect((await layers.unpack(small)).entries).toBe(1);
  });
});

async function mkdirIn(dir: string, name: string): Promise<string> {
  await mkdir(join(dir, name));
  return join(dir, name);
}

/** What only waits to be reaped by the machine's init is dead. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return !/\) Z/.test(stat);
}
