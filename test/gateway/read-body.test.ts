import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { readBody } from '../../services/gateway/read-body.ts';
import { PlatformError } from '../../services/shared/platform-error.ts';

const MiB = 1024 * 1024;
const maxBytes = 32 * MiB;
/** What all bodies may have together, with this maximum. */
const roomBytes = 256 * MiB;

const app = new Hono()
  .post('/', async (c) => c.text(`${(await readBody(c, maxBytes)).length}`))
  .onError((error, c) => {
    const { code, details } = error as PlatformError;
    const isOurs = error instanceof PlatformError;
    return c.json({ code, retryAfterSeconds: details.retryAfterSeconds }, isOurs ? 503 : 500);
  });

/** A body of which `bytes` come, and which then stands still until it is ended. */
function stalled(bytes: number, announced?: number) {
  let end = () => {};
  let cut = () => {};
  let onRead = () => {};
  const read = new Promise<void>((resolve) => {
    onRead = resolve;
  });
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      if (bytes > 0) controller.enqueue(new Uint8Array(bytes));
      end = () => controller.close();
      cut = () => controller.error(new Error('cut'));
    },
    // Asked for more when what came has been read; where nothing came, at once: what is announced counts before it is read.
    pull: () => onRead(),
  });
  const headers: Record<string, string> = announced === undefined ? {} : { 'content-length': `${announced}` };
  const answer = app.request('/', { method: 'POST', body, headers, duplex: 'half' } as RequestInit);
  return { answer: Promise.resolve(answer), read, end: () => end(), cut: () => cut() };
}
const small = async () => (await app.request('/', { method: 'POST', body: 'x' })).status;
/** When what came of them is counted. */
const counted = async (bodies: ReturnType<typeof stalled>[]) => {
  await Promise.all(bodies.map(({ read }) => read));
  await new Promise(setImmediate);
};

test.each([
  ['announced and did not come', () => stalled(0, maxBytes)],
  ['came in chunks', () => stalled(maxBytes)],
])('bodies that stand still are refused beyond what all may have together, by what %s', async (_, open) => {
  const held = Array.from({ length: roomBytes / maxBytes }, open);
  await counted(held);
  const refused = await app.request('/', { method: 'POST', body: 'x' });
  expect(refused.status).toBe(503);
  expect(await refused.json()).toEqual({ code: 'unavailable', retryAfterSeconds: 1 });
  // One that ends, and one that is cut off, make room.
  held[0]?.end();
  await held[0]?.answer;
  expect(await small()).toBe(200);
  for (const one of held.slice(1)) one.cut();
  await Promise.all(held.map(({ answer }) => answer));
  const again = Array.from({ length: roomBytes / maxBytes - 1 }, open);
  await counted(again);
  expect(await small()).toBe(200);
  for (const one of again) one.end();
  await Promise.all(again.map(({ answer }) => answer));
});
