import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serviceId } from '../../runtime/image/ids.ts';
import { encodeFrame, encodeStrings, FrameDecoder, frameType } from '../../runtime/zygote/protocol.ts';
import { type HostIds, serviceIds } from '../../services/shared/service-ids.ts';
import { startLauncher, type TestLauncher } from '../support/launcher.ts';

const ids = { ...serviceIds(serviceId), root: { uid: 0, gid: 0 } };
/** Of a layer that is not there: its answer is GONE, and nothing happens. */
const request = encodeFrame(frameType.REMOVE_LAYER, 0, encodeStrings(['ab'.repeat(32)]));

let directory: string;
/** One obeys the services' worker, the other us, so that tests can be slow themselves. */
let launcher: TestLauncher;
let ours: TestLauncher;
const sockets: Socket[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oncebox-test-access-'));
  await chmod(directory, 0o755);
  for (const name of ['layers', 'theirs', 'ours']) await mkdir(join(directory, name));
  await chown(join(directory, 'theirs'), ids.worker.uid, ids.worker.gid);
  launcher = await startLauncher(join(directory, 'theirs'), join(directory, 'layers'), ids.worker.uid);
  ours = await startLauncher(join(directory, 'ours'), join(directory, 'layers'), process.getuid?.());
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all([launcher.stop(), ours.stop()]);
  await rm(directory, { recursive: true });
});

/** Connects as somebody else, sends what is given, and says what came of it. */
async function connectAs({ uid, gid }: HostIds, bytes = request): Promise<string> {
  const script = `
    const socket = require('node:net').connect(process.argv[1]);
    const chunks = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', (error) => chunks.push(Buffer.from(error.code)));
    socket.on('close', () => process.stdout.write(Buffer.concat(chunks).toString('base64')));
    const bytes = Buffer.from(process.argv[2], 'base64');
    socket.on('connect', () => bytes.length > 0 && socket.write(bytes));`;
  const child = spawn(process.execPath, ['-e', script, launcher.socket, bytes.toString('base64')], {
    uid,
    gid,
    cwd: '/',
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  expect(await once(child, 'close')).toEqual([0, null]);
  return answerOf(Buffer.from(said, 'base64'));
}

function answerOf(bytes: Buffer): string {
  try {
    const frames = [...new FrameDecoder().push(bytes)];
    const names = Object.entries(frameType);
    const texts = frames.map(({ type, payload }) =>
      `${names.find(([, number]) => number === type)?.[0]} ${payload}`.trim(),
    );
    if (texts.length > 0) return texts.join();
  } catch {
    // no frame, but an error code
  }
  return bytes.toString();
}

test('the launcher serves its worker; gateway and strangers are kept out by the mode of the socket', async () => {
  const { mode, uid } = await stat(launcher.socket);
  expect({ mode: mode & 0o777, uid }).toEqual({ mode: 0o600, uid: ids.worker.uid });
  expect(await connectAs(ids.gateway)).toBe('EACCES');
  expect(await connectAs({ uid: 65_534, gid: 65_534 })).toBe('EACCES');
  expect(await connectAs(ids.worker)).toBe('GONE');
});

test('whoever gets past the mode is refused by who he is, be he root', async () => {
  await chmod(launcher.socket, 0o666);
  try {
    // Before they have said anything: whoever writes then finds the connection closed.
    for (const who of [ids.gateway, ids.root, { uid: ids.gateway.uid, gid: 0 }])
      expect(await connectAs(who, Buffer.alloc(0))).toBe('FAILED only the worker may connect');
    expect(await connectAs(ids.worker)).toBe('GONE');
  } finally {
    await chmod(launcher.socket, 0o600);
  }
});

test('its socket is made by the rights of the worker: what a link in its place leads to stays as it is', async () => {
  const [victim, theirs, another] = ['victim', 'links', 'not-theirs'].map((name) =>
    join(directory, name),
  ) as [string, string, string];
  await writeFile(victim, 'x', { mode: 0o640 });
  for (const dir of [theirs, another]) {
    await mkdir(dir);
    await symlink(victim, join(dir, 'launcher.sock'));
  }
  await chown(theirs, ids.worker.uid, ids.worker.gid);
  const started = await startLauncher(theirs, join(directory, 'layers'), ids.worker.uid);
  const { mode, uid, gid } = await lstat(started.socket);
  expect({ kind: mode & 0o170000, mode: mode & 0o777, uid, gid }).toEqual({
    ...{ kind: 0o140000, mode: 0o600 },
    ...{ uid: ids.worker.uid, gid: 0 },
  });
  await started.stop();
  // Root could have replaced this one, and would then have given away what it found there.
  await expect(startLauncher(another, join(directory, 'layers'), ids.worker.uid)).rejects.toThrow(
    'exit code 1',
  );
  expect(await readlink(join(another, 'launcher.sock'))).toBe(victim);
  expect(await lstat(victim)).toMatchObject({ uid: 0, size: 1 });
});

interface Client {
  socket: Socket;
  /** All that was heard until the connection closed, and how long after it was asked for that was. */
  closed: Promise<{ answer: string; afterMs: number }>;
}

async function client(): Promise<Client> {
  const startedAt = performance.now();
  const socket = connect(ours.socket);
  sockets.push(socket);
  const heard: Buffer[] = [];
  socket.on('error', () => {});
  socket.on('data', (chunk) => heard.push(chunk));
  await once(socket, 'connect');
  // `once` would reject for an error, which is an end too.
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve())).then(() => ({
    answer: answerOf(Buffer.concat(heard)),
    afterMs: performance.now() - startedAt,
  }));
  return { socket, closed };
}

async function ask(): Promise<string> {
  const { socket, closed } = await client();
  socket.write(request);
  return (await closed).answer;
}

/** So many that say nothing, all of whom waited still when others were answered. One round shows it in which nobody stood still. */
async function silentBeside(count: number): Promise<Client[]> {
  for (;;) {
    const silent = await Promise.all(Array.from({ length: count }, client));
    const asked = await Promise.all(Array.from({ length: 4 }, ask));
    expect(asked).toEqual(Array(4).fill('GONE'));
    if (silent.every(({ socket }) => !socket.closed)) return silent;
  }
}

test('silent and slow clients hold nobody, and are given up after five seconds', async () => {
  const givenUp = async ({ closed }: Client) => {
    const { answer, afterMs } = await closed;
    expect(answer).toBe('FAILED the request is incomplete');
    expect(afterMs).toBeGreaterThan(4_900);
  };
  const slow = await Promise.all(Array.from({ length: 6 }, client));
  // A byte less than the head of a frame.
  const bytes = [...request.subarray(0, 8)];
  // A second from when the time is up: a write that finds the connection closed takes the answer with it.
  const drip = setInterval(() => {
    const byte = Buffer.from(bytes.splice(0, 1));
    setImmediate(() => {
      for (const { socket } of slow) if (socket.writable) socket.write(byte);
    });
  }, 2_000);
  try {
    for (const silent of await silentBeside(6)) await givenUp(silent);
    // They came first. If each byte gave them more time, they would have four times as much as these.
    await expect.poll(() => slow.every(({ socket }) => socket.closed), { timeout: 10_000 }).toBe(true);
    for (const one of slow) await givenUp(one);
  } finally {
    clearInterval(drip);
  }
});

test('a request that comes byte by byte, or with what follows it, is a request', async () => {
  const { socket, closed } = await client();
  for (const byte of request) socket.write(Buffer.from([byte]));
  expect((await closed).answer).toBe('GONE');
  const eager = await client();
  eager.socket.write(Buffer.concat([request, Buffer.alloc(4096)]));
  expect((await eager.closed).answer).toBe('GONE');
});

test('connections that say nothing hold back no other, and of too many the last wait until there is room', async () => {
  const silent = await silentBeside(100);
  for (let i = 0; i < 60; i++) silent.push(await client());
  const late = ask();
  // Nobody is sent away for another's sake: all have their five seconds.
  for (const { closed } of silent) expect((await closed).answer).toBe('FAILED the request is incomplete');
  expect(await late).toBe('GONE');
});

test('a layer that is a link is not taken into a build, wherever it leads', async () => {
  const [link, layer] = ['1', '2'].map((digit) => digit.repeat(64)) as [string, string];
  await symlink('/etc', join(directory, 'layers', link));
  await mkdir(join(directory, 'layers', layer));
  const build = async (layers: string) => {
    const { socket, closed } = await client();
    socket.end(encodeFrame(frameType.BUILD, 0, buildLimits(), Buffer.from(`${layers}\0`)));
    return (await closed).answer;
  };
  expect(await build(link)).toContain(
    'cannot take a layer into the build: Too many levels of symbolic links',
  );
  expect(await build(`${layer}:${link}`)).toContain('cannot take a layer into the build');
  expect(await build(layer)).toMatch(/^READY/);
});

/** As `struct build_limits` has them. */
function buildLimits(): Buffer {
  const limits = Buffer.alloc(36);
  for (const at of [0, 8]) limits.writeBigUInt64LE(256n << 20n, at); // memory, disk
  limits.writeBigUInt64LE(10_000n, 16);
  for (const [index, value] of [64, 1_000, 60_000].entries()) limits.writeUInt32LE(value, 24 + 4 * index);
  return limits;
}

test.each([
  ['a length of nothing', Buffer.alloc(9), 'the request is malformed'],
  ['more than any request has', frameWith({ length: 200_000 }), 'the request is too long'],
  ['a sandbox', frameWith({ sandbox: 7 }), 'the request is for a sandbox'],
  ['a frame of the agent', encodeFrame(frameType.READY, 0), 'the request is for nothing we do'],
  ['layers that are a path', zone('../../etc', '', '', ''), "a layer's name is no digest"],
  [
    'memory that is no number',
    zone('ab'.repeat(32), '/bin', '', '0x10', 'node'),
    "the zygote's memory is no number",
  ],
  ['memory of nothing', zone('ab'.repeat(32), '/bin', '', '0', 'node'), "the zygote's memory is no number"],
  ['trust and code', zone('ab'.repeat(32), '/bin', '{}', 'trusted', 'node'), 'is not trusted'],
  ['code for the built-in zygote', zone('ab'.repeat(32), '/bin', '{}', ''), 'initialises nothing'],
  ['a path that rings', zone('ab'.repeat(32), '/bin\u0007', '', '', 'node'), 'control characters'],
  ['too many arguments', zone('ab'.repeat(32), '/bin', '', '', ...Array(63).fill('x')), 'too many arguments'],
  [
    'a build without caps',
    encodeFrame(frameType.BUILD, 0, Buffer.alloc(36), Buffer.from('\0')),
    'out of range',
  ],
])('a request with %s is refused, with the reason', async (_, frame, reason) => {
  const { socket, closed } = await client();
  socket.write(frame);
  expect((await closed).answer).toContain(reason);
});

function frameWith({ length = 5, sandbox = 0 }): Buffer {
  const frame = encodeFrame(frameType.ZONE, sandbox);
  frame.writeUInt32LE(length, 0);
  return frame;
}

function zone(...strings: string[]): Buffer {
  return encodeFrame(frameType.ZONE, 0, encodeStrings(strings));
}
