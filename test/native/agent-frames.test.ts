import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { openStore } from '../../runtime/image/store.ts';
import { defaultSearchPath, encodeJob } from '../../runtime/interpreters/program-job.ts';
import { OpenInput } from '../../runtime/sandbox/open-input.ts';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import {
  encodeFrame,
  encodeNumber,
  encodeRunHead,
  encodeSpec,
  type Frame,
  FrameDecoder,
  type FrameType,
  frameType,
} from '../../runtime/zygote/protocol.ts';
import { encodeZoneRequest } from '../../runtime/zygote/zone.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { storeDir, useZones } from '../support/zones.ts';

// What no worker of ours would send to an agent, over the socket of a real zone.
const zones = useZones();
const { layers } = await openStore(storeDir).resolve('bash');
const id = 8193;
let opened: Socket[] = [];

afterEach(() => {
  for (const socket of opened) socket.destroy();
  opened = [];
});

/** A zone with one parked sandbox, and whoever speaks to its agent. */
async function zone() {
  const socket = connect(zones.socket());
  opened.push(socket);
  socket.on('error', () => {});
  const decoder = new FrameDecoder();
  const heard: Frame[] = [];
  socket.on('data', (chunk) => heard.push(...decoder.push(chunk)));
  const closed = once(socket, 'close');
  const hear = (type: FrameType, of: number) =>
    expect
      .poll(() => heard.find((frame) => frame.type === type && frame.sandbox === of), { timeout: 60_000 })
      .toBeDefined();
  const textOf = (type: FrameType, of: number) =>
    heard.find((frame) => frame.type === type && frame.sandbox === of)?.payload.toString();
  socket.write(encodeZoneRequest({ interpreter: 'exec', layers, searchPath: defaultSearchPath }));
  await hear(frameType.READY, 0);
  socket.write(encodeFrame(frameType.CREATE, id, encodeSpec(scratchSpec(layers))));
  await hear(frameType.READY, id);
  return { socket, closed, hear, textOf };
}

const job = encodeJob('exec', { kind: 'command', argv: ['/bin/true'], env: {}, files: [] });
const head = (limits = {}) =>
  encodeRunHead({ limits: { ...defaultLimits(), ...limits }, stdin: Buffer.from('in') });
const withSecret = (name: string, bytes: number, count = 1) =>
  encodeRunHead({
    limits: defaultLimits(),
    stdin: Buffer.from('in'),
    secrets: Array(count).fill({ name, value: Buffer.alloc(bytes) }),
  });
/** Flags and the length of stdin come last, before stdin. */
const flagsAt = head().length - 'in'.length - 8;
const withByte = (bytes: Buffer, at: number, value: number) => {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(value, at);
  return changed;
};

test('the control: a run as the worker sends it runs, and its sandbox goes', async () => {
  const { socket, hear } = await zone();
  socket.write(encodeFrame(frameType.RUN, id, head(), job));
  await hear(frameType.DONE, id);
  await hear(frameType.GONE, id);
});

test.each([
  ['no memory', head({ memoryBytes: 0 }), 'memory cap is out of range'],
  ['more memory than there is', head({ memoryBytes: 2 ** 52 }), 'memory cap is out of range'],
  ['no processes', head({ pids: 0 }), 'cap on processes is out of range'],
  ['no time', head({ wallMs: 0 }), 'time is out of range'],
  ['no CPU', head({ cpus: 0 }), 'CPU bandwidth is out of range'],
  ['no disk', head({ diskBytes: 0 }), 'disk cap is out of range'],
  ['a flag that is none', withByte(head(), flagsAt, 128), 'unknown flags'],
  ['less stdin than it says', withByte(head(), flagsAt + 7, 1), 'less stdin than it says'],
  ['a secret beside its directory', withSecret('../x', 1), 'secrets are malformed'],
  ['a secret without a name', withSecret('', 1), 'secrets are malformed'],
  ['a hidden secret', withSecret('.x', 1), 'secrets are malformed'],
  ['a secret that is too large', withSecret('x', 65_537), 'secrets are malformed'],
  ['33 secrets', withSecret('x', 1, 33), 'or too many'],
  [
    'less of secrets than it says',
    withByte(withSecret('x', 1), flagsAt + 8 + 'in'.length + 3, 1),
    'less of secrets than it says',
  ],
  ['secrets and no place for them', withSecret('x', 1), "cannot write the sandbox's secrets"],
  ['half a head', head().subarray(0, 20), 'too short'],
])('a run with %s fails its sandbox with the reason, and the zone goes on', async (_, wrong, reason) => {
  const { socket, hear, textOf } = await zone();
  socket.write(encodeFrame(frameType.RUN, id, wrong, job));
  await hear(frameType.GONE, id);
  expect(textOf(frameType.FAILED, id)).toContain(reason);
  socket.write(encodeFrame(frameType.CREATE, id + 1, encodeSpec(scratchSpec(layers))));
  await hear(frameType.READY, id + 1);
});

const interactive = encodeRunHead({
  limits: defaultLimits(),
  stdin: Buffer.from(''),
  input: new OpenInput(),
});
const sleep = encodeJob('exec', { kind: 'command', argv: ['/bin/sleep', '60'], env: {}, files: [] });
const signal = (number: number) => encodeFrame(frameType.SIGNAL, id, encodeNumber(number));
const stdin = (bytes: number) => encodeFrame(frameType.STDIN, id, Buffer.alloc(bytes));
const end = encodeFrame(frameType.STDIN_END, id);
const run = (headOfIt: Uint8Array) => encodeFrame(frameType.RUN, id, headOfIt, sleep);
test.each([
  ['stdin ahead of its run', [stdin(1)], 'before the run'],
  ['a signal ahead of its run', [signal(2)], 'before the run'],
  ['stdin for a run that takes none', [run(head()), stdin(1)], 'takes none'],
  ['a signal for a run that takes none', [run(head()), signal(2)], 'takes none'],
  ['stdin after its end', [run(interactive), end, stdin(1)], 'takes none'],
  ['a signal that is none', [run(interactive), signal(32)], 'none that is sent'],
  ['signal 0', [run(interactive), signal(0)], 'none that is sent'],
  // The pipe holds a window, and so does the agent: this is more than both.
  ['more stdin than was asked for', [run(interactive), stdin(65_536), stdin(65_536), stdin(1)], 'more stdin'],
])('%s ends the sandbox with the reason, and the zone goes on', async (_, frames, reason) => {
  const { socket, hear, textOf } = await zone();
  socket.write(Buffer.concat(frames));
  await hear(frameType.GONE, id);
  expect(textOf(frameType.FAILED, id)).toContain(reason);
  socket.write(encodeFrame(frameType.CREATE, id + 1, encodeSpec(scratchSpec(layers))));
  await hear(frameType.READY, id + 1);
});

test('input for a sandbox that is gone, or never was, is heard by nobody', async () => {
  const { socket, hear } = await zone();
  socket.write(encodeFrame(frameType.RUN, id, interactive, job));
  await hear(frameType.GONE, id);
  for (const sandbox of [id, id + 7])
    for (const [type, payload] of [
      [frameType.STDIN, Buffer.from('x')],
      [frameType.SIGNAL, encodeNumber(9)],
      [frameType.STDIN_END, Buffer.alloc(0)],
    ] as const)
      socket.write(encodeFrame(type, sandbox, payload));
  socket.write(encodeFrame(frameType.CREATE, id + 1, encodeSpec(scratchSpec(layers))));
  await hear(frameType.READY, id + 1);
});

test('a run without a job is one', async () => {
  const { socket, hear, textOf } = await zone();
  socket.write(encodeFrame(frameType.RUN, id, head()));
  await hear(frameType.GONE, id);
  expect(textOf(frameType.FAILED, id)).toContain('no job');
});

const spec = encodeSpec(scratchSpec(layers));
test.each([
  ['a flag that is none', withByte(spec, 0, 8), 'unknown flags'],
  ['two users', withByte(spec, 4, 1), 'two users'],
  ['a third text', Buffer.concat([spec, Buffer.from('x\0')]), 'more than two texts'],
  ['no end', spec.subarray(0, -1), 'no texts'],
])('a sandbox with %s is refused with the reason', async (_, wrong, reason) => {
  const { socket, hear, textOf } = await zone();
  socket.write(encodeFrame(frameType.CREATE, id + 1, wrong));
  await hear(frameType.GONE, id + 1);
  expect(textOf(frameType.FAILED, id + 1)).toContain(reason);
});

/** The head of a frame that claims so many bytes. */
const claims = (type: number, sandbox: number, length: number) => {
  const frame = encodeFrame(type as FrameType, sandbox);
  frame.writeUInt32LE(length, 0);
  return frame;
};

test.each([
  ['a frame of no type', claims(99, id, 5)],
  ["the agent's own kind of frame", claims(frameType.READY, id, 5)],
  ['a length of nothing', claims(frameType.KILL, id, 0)],
  ['a kill with 80 MiB to follow', claims(frameType.KILL, id, 80 << 20)],
  ['a sandbox with 80 MiB of text to follow', claims(frameType.CREATE, id + 1, 80 << 20)],
  ['more than any frame holds', claims(frameType.RUN, id, 0xffffffff)],
  ['a run of nobody', claims(frameType.RUN, 0, 64)],
])('%s ends the zone, before more is read', async (_, frame) => {
  const { socket, closed } = await zone();
  socket.write(frame);
  await closed;
});
