import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { InvocationEvent } from '../../sdk/contract/events.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import { openSession, type Session } from '../../services/gateway/session.ts';
import { newInvocationId } from '../../services/queue/invocation-id.ts';
import { createInvocationQueue, type InvocationQueue } from '../../services/queue/invocation-queue.ts';
import { connectRedis, type Redis } from '../../services/shared/redis.ts';
import { snippetOf } from '../conformance/programs.ts';
import { usePlatform } from '../support/use-platform.ts';

// Sessions as a gateway of the platform would have them, with its workers and its Redis.
const running = usePlatform();
const patience = { timeout: 60_000, interval: 25 };
let redis: Redis;
let subscriber: Redis;
let queue: InvocationQueue;

beforeAll(async () => {
  const url = `unix://${join(running.config.runDir, 'redis.sock')}`;
  redis = connectRedis(url);
  subscriber = connectRedis(url);
  queue = await createInvocationQueue({
    redis,
    subscriber,
    queueMax: 100,
    recordsKept: 100,
    recordsKeptMs: 600_000,
    onError: () => {},
  });
});
afterAll(async () => {
  await queue.close();
  redis.disconnect();
  subscriber.disconnect();
});

interface Talk extends Session {
  says(text: string): Promise<void>;
  said(): string;
  /** Resolves with the record. */
  ended: Promise<Extract<InvocationEvent, { type: 'end' }>['invocation'] | undefined>;
}

async function talk(runtime: RuntimeName, code: string): Promise<Talk> {
  const id = newInvocationId();
  const limits = { ...defaultLimits(), wallMs: 600_000 };
  const job = { tenant: 'default', runtime, program: snippetOf(runtime, code), stdin: '', limits };
  const session = await openSession({ queue }, { id, job });
  let said = '';
  const listen = async () => {
    for await (const event of session.events) {
      if (event.type === 'stdout') said += event.text;
      if (event.type === 'end') return event.invocation;
    }
    return undefined;
  };
  return {
    ...session,
    said: () => said,
    ended: listen(),
    says: (text) => vi.waitFor(() => expect(said).toContain(text), patience),
  };
}

const inputKeys = (id: string) => redis.keys(`oncebox:input:${id}*`);
const gone = (id: string) => vi.waitFor(async () => expect(await inputKeys(id)).toEqual([]), patience);

test('a program is talked to while it runs: asked, answered, and told of the end', async () => {
  const python = await talk(
    'python',
    'while True:\n  try: print("you said", input("? "))\n  except EOFError: break',
  );
  await python.says('? ');
  for (const word of ['one', 'two', 'é']) {
    await python.write(Buffer.from(`${word}\n`));
    await python.says(`you said ${word}\n? `);
  }
  await python.end();
  expect(await python.ended).toMatchObject({ outcome: { status: 'ok' } });
  expect(python.said()).toBe('? you said one\n? you said two\n? you said é\n? ');
  await expect(python.write(Buffer.from('late'))).rejects.toThrow('stdin has ended');
  await gone(python.id);
});

test('what is written before a worker has the job waits for it, behind what the job says', async () => {
  const id = newInvocationId();
  const input = await queue.inputs.open(id, 'default');
  await input.write(Buffer.from('written early\n'));
  await input.end();
  await queue.enqueue(id, {
    ...{ tenant: 'default', runtime: 'bash', program: snippetOf('bash', 'cat'), stdin: 'first\n' },
    ...{ limits: defaultLimits(), interactive: true },
  });
  await vi.waitFor(
    async () => expect((await queue.get(id))?.stdout).toBe('first\nwritten early\n'),
    patience,
  );
  await gone(id);
});

test('a signal reaches a handler, and ends a program that has none, whose stdin nobody reads', async () => {
  const node = await talk(
    'node',
    'process.on("SIGINT", () => { console.log("interrupted"); process.exit(7) }); setInterval(() => {}, 1000); console.log("up")',
  );
  await node.says('up');
  await node.signal('SIGINT');
  expect(await node.ended).toMatchObject({
    outcome: { status: 'exited', exitCode: 7 },
    stdout: 'up\ninterrupted\n',
  });

  const plain = await talk('bash', 'echo up; exec sleep 500');
  await plain.says('up');
  let written = 0;
  const writes = Array.from({ length: 24 }, () =>
    plain.write(Buffer.alloc(32_768)).then(() => {
      written += 32_768;
    }),
  );
  // What its lane on Redis holds. Its pipe and the agent's window may hold more, but for a user who has thousands of pipes, as
  // tests beside this one may, the kernel makes new ones of two pages.
  await vi.waitFor(() => expect(written).toBeGreaterThanOrEqual(7 * 32_768), patience);
  await expect(plain.write(Buffer.alloc(2 ** 20))).rejects.toThrow(RangeError);
  expect(await redis.memory('USAGE', `oncebox:input:${plain.id}:stdin`)).toBeLessThan(512 * 1024);
  expect(written).toBeLessThan(24 * 32_768);
  await plain.signal('SIGTERM');
  expect(await plain.ended).toMatchObject({ outcome: { status: 'signaled', signal: 'SIGTERM' } });
  await Promise.all(writes); // dropped, and nobody is left waiting
  await gone(plain.id);
  await expect(plain.signal('SIGNOT')).rejects.toMatchObject({ code: 'invalid_request' });
});

test('a long stdin arrives whole and in its order, at the pace of the program', async () => {
  const wc = await talk('python', 'import sys\nfor line in sys.stdin: n = int(line)\nprint(n)');
  let text = '';
  for (let number = 0; number < 200_000; number++) text += `${number}\n`;
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += 100_000) await wc.write(bytes.subarray(at, at + 100_000));
  await wc.end();
  expect(await wc.ended).toMatchObject({ outcome: { status: 'ok' }, stdout: '199999\n' });
});

test('a cancelled session ends its program, and a wall with another stdin is refused', async () => {
  const cat = await talk('bash', 'echo up; cat');
  await cat.says('up');
  await cat.cancel();
  expect(await cat.ended).toMatchObject({ outcome: { status: 'cancelled' } });
  await cat.write(Buffer.from('late'));
  await gone(cat.id);
  const job = {
    ...{ tenant: 'default', runtime: 'bash' as const, program: snippetOf('bash', 'cat'), stdin: '' },
    ...{ limits: defaultLimits(), isolation: 'runc' as const },
  };
  await expect(openSession({ queue }, { id: newInvocationId(), job })).rejects.toMatchObject({
    code: 'unsupported',
    message: expect.stringContaining('not supported'),
  });
});

test('a worker that is killed leaves a session lost, and nothing of its input', async () => {
  const cat = await talk('bash', 'echo up; cat');
  await cat.says('up');
  process.kill(running.platform.pids().worker ?? Number.NaN, 'SIGKILL');
  await cat.write(Buffer.from('to nobody\n'));
  expect(await cat.ended).toMatchObject({ status: 'failed', outcome: { status: 'lost' } });
  await gone(cat.id);
});
