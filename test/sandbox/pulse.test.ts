import { afterEach, expect, test, vi } from 'vitest';
import { scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { type Frame, FrameDecoder, frameType } from '../../runtime/zygote/protocol.ts';
import { type FakeAgent, openWithFakeAgent } from './fake-agent.ts';

let agent: FakeAgent;
afterEach(async () => {
  vi.useRealTimers();
  await agent.close();
});

test('a zone whose agent has much to do is kept while it does it, and given up when nothing comes for twelve seconds', async () => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
  });
  agent = await openWithFakeAgent();
  const asked: Frame[] = [];
  const decoder = new FrameDecoder();
  agent.socket.on('data', (chunk: Buffer) => asked.push(...decoder.push(chunk)));
  const { zone } = agent;
  let isGone = false;
  void zone.closed.then(() => {
    isGone = true;
  });
  async function createOne(answers: boolean) {
    const before = asked.length;
    const creating = zone.create(scratchSpec(['a'.repeat(64)]));
    creating.catch(() => {});
    const isNew = ({ type }: Frame, at: number) => at >= before && type === frameType.CREATE;
    while (!asked.some(isNew)) await new Promise(setImmediate);
    if (answers) agent.send(frameType.READY, asked.find(isNew)?.sandbox ?? 0);
    return { creating };
  }

  // It never says what it holds, but it makes sandboxes.
  for (let made = 0; made < 5; made++) {
    vi.advanceTimersByTime(8_000);
    await (await createOne(true)).creating;
  }
  expect(asked.map(({ type }) => type)).toContain(frameType.STAT);
  expect(isGone).toBe(false);

  const { creating } = await createOne(false);
  vi.advanceTimersByTime(15_000);
  await expect(creating).rejects.toThrow('has not answered for 12000 ms');
  await zone.closed;
});
