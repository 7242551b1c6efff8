import { expect, test } from 'vitest';
import { type FollowedEvent, isOnceboxError } from '../../sdk/index.ts';
import { usePlatform } from '../support/use-platform.ts';

const running = usePlatform();
const limits = { wallMs: 60_000 };

async function untilSaid(events: AsyncGenerator<FollowedEvent, void, void>, text: string): Promise<void> {
  let said = '';
  while (!said.includes(text)) {
    const { value } = await events.next();
    if (!value || value.type === 'end') throw new Error(`it ended with ${JSON.stringify(value)}`);
    if (value.type === 'stdout') said += value.text;
  }
}

async function endOf(id: string) {
  return (await running.client.wait(id)).outcome;
}

test('an answer can be given to what a program asks', async () => {
  let answer = (_text: string) => {};
  const answered = new Promise<string>((resolve) => {
    answer = resolve;
  });
  async function* stdin() {
    yield 'Ada\n';
    yield await answered;
  }
  const code = 'read -r name; echo "hello $name, how old?"; read -r age; echo "so $age"; cat';
  const { id, events } = await running.client.runInteractive(
    { runtime: 'bash', code, limits },
    { stdin: stdin() },
  );
  await untilSaid(events, 'hello Ada, how old?');
  answer('36\n');
  await untilSaid(events, 'so 36');
  expect(await endOf(id)).toEqual({ status: 'ok' });
});

test('without stdin a program reads what its request has, and is sent signals', async () => {
  const code = `
    trap 'echo "got $line"; exit 5' USR1
    read -r line
    echo ready
    while :; do sleep 0.05; done`;
  const run = await running.client.runInteractive({ runtime: 'bash', code, stdin: 'first\n', limits });
  await untilSaid(run.events, 'ready');
  await run.signal('SIGUSR1');
  await untilSaid(run.events, 'got first');
  expect(await endOf(run.id)).toEqual({ status: 'exited', exitCode: 5 });
  // Its record may be there a moment before its input is taken away.
  const isRefused = () =>
    run.signal('SIGUSR1').then(
      () => false,
      (error: unknown) => isOnceboxError(error, 'input_refused'),
    );
  await expect.poll(isRefused, { timeout: 60_000 }).toBe(true);
});

test('what its stdin cannot be read for ends the events and cancels it', async () => {
  // biome-ignore lint/correctness/useYield: it fails before it has anything
  async function* stdin(): AsyncGenerator<string> {
    throw new Error('the file is gone');
  }
  const { id, events } = await running.client.runInteractive(
    { runtime: 'bash', code: 'cat', limits },
    { stdin: stdin() },
  );
  await expect(untilSaid(events, 'never')).rejects.toThrow('the file is gone');
  expect(await endOf(id)).toEqual({ status: 'cancelled' });
});

test('who stops reading its events, or aborts, cancels it', async () => {
  const code = 'echo ready; sleep 50';
  const left = await running.client.runInteractive({ runtime: 'bash', code, limits });
  await untilSaid(left.events, 'ready');
  await left.events.return();
  expect(await endOf(left.id)).toEqual({ status: 'cancelled' });
  const abort = new AbortController();
  const aborted = await running.client.runInteractive(
    { runtime: 'bash', code, limits },
    { signal: abort.signal },
  );
  await untilSaid(aborted.events, 'ready');
  abort.abort(new Error('enough'));
  await expect(untilSaid(aborted.events, 'never')).rejects.toThrow('enough');
  expect(await endOf(aborted.id)).toEqual({ status: 'cancelled' });
});
