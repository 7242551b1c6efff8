import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SandboxLostError, scratchSpec, type Zone } from '../../runtime/sandbox/sandbox.ts';
import { decodeFailure, FrameDecoder, frameType, reportBytes } from '../../runtime/zygote/protocol.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { type FakeAgent, openWithFakeAgent } from './fake-agent.ts';

let agent: Socket;
let zone: Zone;
let send: FakeAgent['send'];
let close: FakeAgent['close'];
let id: number;

beforeEach(async () => {
  // The zone does not ask whether its agent is there: this one would not answer.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  id = 0;
  ({ zone, socket: agent, send, close } = await openWithFakeAgent());
});

afterEach(async () => {
  vi.useRealTimers();
  await close();
});

/** A sandbox that waits for the agent's word. */
async function ask() {
  const asked = new Promise<void>((resolve) => {
    const decoder = new FrameDecoder();
    agent.on('data', (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) {
        if (frame.type !== frameType.CREATE) continue;
        id = frame.sandbox;
        resolve();
      }
    });
  });
  const created = zone.create(scratchSpec(['a'.repeat(64)]));
  created.catch(() => {});
  await asked;
  return created;
}

async function park() {
  const created = ask();
  while (id === 0) await new Promise(setImmediate);
  send(frameType.READY, id);
  return created;
}

async function runParked(captureChanges = false) {
  const sandbox = await park();
  const program = { kind: 'command' as const, argv: ['x'], env: {}, files: [] };
  const limits = { ...defaultLimits(), stdoutBytes: 1000, wallMs: 1000 };
  const running = sandbox.run({ program, limits, stdin: new Uint8Array(), captureChanges });
  running.catch(() => {});
  return { sandbox, running };
}

test('output beyond its cap closes the zone', async () => {
  const { sandbox, running } = await runParked();
  send(frameType.STDOUT, id, Buffer.alloc(1000 + 65_537));
  await expect(running).rejects.toThrow(SandboxLostError);
  await expect(running).rejects.toThrow(/more than it may/);
  await zone.closed;
  await sandbox.dead;
});

test('output up to its cap, and the chunk in which it was passed, is no breach', async () => {
  const { running } = await runParked();
  send(frameType.STDOUT, id, Buffer.alloc(1000 + 65_536));
  send(frameType.DONE, id, Buffer.alloc(reportBytes));
  expect((await running).stdout).toHaveLength(66_536);
});

test('changes that nobody asked for close the zone', async () => {
  const { running } = await runParked();
  send(frameType.CHANGES, id, Buffer.from('x'));
  await expect(running).rejects.toThrow(/more than it may/);
});

test('changes that the report does not call complete are none', async () => {
  const { running } = await runParked(true);
  send(frameType.CHANGES, id, Buffer.from('x'));
  send(frameType.DONE, id, Buffer.alloc(reportBytes));
  expect((await running).changes).toBeUndefined();
});

test('a result that is too large closes the zone, as does a frame', async () => {
  const { running } = await runParked();
  send(frameType.DONE, id, Buffer.alloc(reportBytes + 6 * 1024 * 1024 + 1));
  await expect(running).rejects.toThrow(/result of/);
});

test.each([
  [
    'a run that was not asked for',
    () => send(frameType.DONE, id, Buffer.alloc(reportBytes)),
    /done without being run/,
  ],
  ['output of what does not run', () => send(frameType.STDOUT, id, Buffer.from('x')), /without being run/],
  ['a sandbox that is not there', () => send(frameType.STDOUT, 4242), /4242, which is not there/],
  ['being ready twice', () => send(frameType.READY, id), /ready twice/],
  ['a frame of another kind', () => send(frameType.ZONE, id), /unknown type/],
  ['a frame of many megabytes', () => send(frameType.STDOUT, id, Buffer.alloc(9 * 1024 * 1024)), /no frame/],
  ['a report that is too short', () => send(frameType.STAT, id, Buffer.alloc(1)), /no frame/],
])('%s closes the zone', async (_what, act, reason) => {
  const sandbox = await park();
  const stat = sandbox.stat();
  const other = ask().catch((error: Error) => error);
  act();
  await zone.closed;
  expect(((await other) as Error).message).toMatch(reason);
  expect(await stat).toEqual({ memoryBytes: 0, memoryPeakBytes: 0, writableBytes: 0 });
  await expect(zone.create(scratchSpec(['a']))).rejects.toThrow(SandboxLostError);
});

test.each([
  ['never ready', 35_000],
  ['never done', 31_000],
  ['never dead', 30_000],
] as const)('a sandbox that is %s closes the zone', async (what, ms) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  let lost: Promise<unknown>;
  if (what === 'never ready') lost = ask().catch((error) => error);
  else if (what === 'never done') lost = (await runParked()).running.catch((error) => error);
  else lost = (await park()).kill().then(() => new SandboxLostError('dead'));
  await new Promise(setImmediate);
  vi.advanceTimersByTime(ms - 1_000);
  expect(
    await Promise.race([lost, new Promise((resolve) => setImmediate(resolve, 'still waited for'))]),
  ).toBe('still waited for');
  vi.advanceTimersByTime(1_001);
  expect(await lost).toBeInstanceOf(SandboxLostError);
  await zone.closed;
});

test('a zone that is being closed is asked nothing more, and is closed when the launcher says so', async () => {
  const sandbox = await park();
  let isClosed = false;
  const ended = once(agent, 'end');
  agent.resume();
  const closing = zone.close().then(() => {
    isClosed = true;
  });
  await ended;
  await expect(zone.memory()).rejects.toThrow(new SandboxLostError('the zone is being closed'));
  await expect(zone.create(scratchSpec(['a'.repeat(64)]))).rejects.toThrow('the zone is being closed');
  const killed = sandbox.kill();
  const asked = sandbox.stat();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(isClosed).toBe(false);
  agent.end();
  await Promise.all([closing, killed, asked]);
  expect(sandbox.state).toBe('dead');
});
test.each(['sandbox', 'zone'])(
  'what a %s says of its failure is cut, and has no control characters',
  async (who) => {
    const said = `no\nlevel:30 \u001b[2J\u202e${'é\0'.repeat(2 * 1024 * 1024)}`;
    const creating = ask();
    creating.catch(() => {});
    while (id === 0) await new Promise(setImmediate);
    send(frameType.FAILED, who === 'zone' ? 0 : id, Buffer.from(said));
    const error = await creating.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(SandboxLostError);
    const { message } = error as Error;
    expect(message).toMatch(/^no\\x0alevel:30 \\x1b\[2J\\u\{202e\}é\\x00é/);
    expect(message.length).toBeLessThanOrEqual(2049);
    // Printable text stays as it is.
    expect(decodeFailure(Buffer.from('cannot exec "café": ENOENT'))).toBe('cannot exec "café": ENOENT');
  },
);
