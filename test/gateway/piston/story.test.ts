import { expect, test } from 'vitest';
import type { InvocationEvent } from '../../../sdk/contract/events.ts';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import { storyOf } from '../../../services/gateway/piston/story.ts';

const printed = { stdout: '', stderr: '', stdoutTruncated: false, stderrTruncated: false };
const started: InvocationEvent[] = [
  { type: 'started', id: 'i', start: 'fork' },
  { type: 'stage', stage: 'compile', start: 'fork' },
];

async function told(events: InvocationEvent[], record: Partial<Invocation>): Promise<unknown[]> {
  async function* all() {
    yield* events;
    yield { type: 'end' as const, invocation: { id: 'i', status: 'done' as const, ...printed, ...record } };
  }
  const messages: unknown[] = [];
  for await (const message of storyOf(all(), { compiled: true })) messages.push(message);
  return messages;
}

test('a compiler that is done ends its stage before the program begins', async () => {
  const events: InvocationEvent[] = [
    ...started,
    { type: 'stderr', text: 'a warning' },
    { type: 'stage', stage: 'run', start: 'fork' },
    { type: 'stdout', text: 'hi' },
  ];
  const compile = { outcome: { status: 'ok' as const }, ...printed };
  expect(await told(events, { outcome: { status: 'exited', exitCode: 2 }, compile })).toEqual([
    { type: 'stage', stage: 'compile' },
    { type: 'data', stream: 'stderr', data: 'a warning' },
    { type: 'exit', stage: 'compile', code: 0, signal: null },
    { type: 'stage', stage: 'run' },
    { type: 'data', stream: 'stdout', data: 'hi' },
    { type: 'exit', stage: 'run', code: 2, signal: null },
  ]);
});

test('a compiler that fails has the last word', async () => {
  const compile = { outcome: { status: 'exited' as const, exitCode: 1 }, ...printed };
  expect(await told(started, { outcome: { status: 'compile_failed' }, compile })).toEqual([
    { type: 'stage', stage: 'compile' },
    { type: 'exit', stage: 'compile', code: 1, signal: null },
  ]);
});

test('what was lost says so, and what never ran is an error', async () => {
  const outcome = { status: 'lost' as const, reason: 'the worker died' };
  expect((await told(started, { outcome })).at(-1)).toEqual({
    ...{ type: 'exit', stage: 'compile', error: 'the worker died' },
    ...{ code: null, signal: null },
  });
  await expect(told([], { outcome })).rejects.toMatchObject({
    code: 'lost',
    message: 'the job ended before it ran: the worker died',
  });
});
