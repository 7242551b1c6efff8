import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { OnceboxError } from '../../../sdk/client.ts';
import type { Attack } from './attack.ts';
import { type Ground, queueMax } from './ground.ts';
import type { Caller } from './keyed-gateway.ts';
import { type Reply, rawExchange, sendText } from './send-text.ts';
import { must } from './verdict.ts';

const group = 'requests';
const MiB = 1024 * 1024;

/** Others get on: an ordinary request is answered meanwhile. */
async function othersGetOn(ground: Ground): Promise<void> {
  const ran = await ground.run({ runtime: 'bash', code: 'echo served' });
  must(ran.stdout === 'served\n', 'another caller is not served', ran);
}

const deep: Attack = {
  id: 'requests-deep',
  group,
  title: 'JSON of 100,000 levels, and such that never closes',
  must: '413 or 400, naming the body; others get on',
  async attack(ground) {
    const nested = '['.repeat(100_000) + ']'.repeat(100_000);
    const run = await sendText(ground, 'POST', '/v1/run', `{"runtime":"bash","code":"true","env":${nested}}`);
    must(isRefused(run), 'as a request', run);
    const open = await sendText(ground, 'POST', '/v1/run', '{"a":'.repeat(1_000_000));
    must(isRefused(open), 'that never closes', open);
    await othersGetOn(ground);
  },
  async control() {
    // What a reader that does not look first does.
    const nested = '['.repeat(100_000) + ']'.repeat(100_000);
    const walk = (value: unknown): number =>
      Array.isArray(value) && value.length > 0 ? 1 + walk(value[0]) : 1;
    let failed = '';
    try {
      walk(JSON.parse(nested));
    } catch (error) {
      failed = (error as Error).name;
    }
    must(failed === 'RangeError', 'a reader was not overcome', failed);
  },
};

function isRefused({ status, field }: Reply): boolean {
  return (status === 413 || status === 400) && field === 'body';
}

const large: Attack = {
  id: 'requests-large',
  group,
  title: 'a body larger than allowed, with and without its length announced; headers of a megabyte',
  must: '413 and 431, before all of it is read; others get on',
  async attack(ground) {
    const most = ground.platform.config.ONCEBOX_BODY_MAX_BYTES;
    const announced = await rawExchange(
      ground,
      (socket) =>
        socket.write(
          `POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${most * 100}\r\nConnection: close\r\n\r\nx`,
        ),
      ground.netMs,
    );
    must(announced.status === 413, 'announced', announced);
    const flood = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(MiB).fill(0x20)),
    });
    const streamed = await sendText(ground, 'POST', '/v1/run', flood).then(
      ({ status }) => status,
      // The server closes while the client still sends.
      (error: Error) => (/fetch failed|terminated/.test(error.message) ? 413 : error.message),
    );
    must(streamed === 413, 'never ending', streamed);
    const headers = await rawExchange(
      ground,
      (socket) =>
        socket.write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(MiB)}\r\n\r\n`),
      ground.netMs,
    );
    must(headers.status === 431 || headers.status === 0, 'headers', headers.status);
    await othersGetOn(ground);
  },
  async control(ground) {
    const fits = await sendText(
      ground,
      'POST',
      '/v1/run',
      JSON.stringify({ runtime: 'bash', code: 'wc -c', stdin: 'x'.repeat(MiB) }),
    );
    must(fits.status === 200, 'one that fits', fits.status);
  },
};

/** A net: the server's own patience with a body is a minute. */
const slowestMs = 180_000;

/** One byte a second, for ever. */
function trickle(head: string) {
  return (socket: Socket) => {
    socket.write(head);
    // After what has come was read: a write to who has closed would take the reply away.
    const timer = setInterval(() => setImmediate(() => socket.writable && socket.write('x')), 1_000);
    socket.once('close', () => clearInterval(timer));
  };
}

function slow(id: string, title: string, head: string): Attack {
  return {
    id,
    group,
    title,
    must: '408, in time; others get on meanwhile',
    when: 'meanwhile',
    async attack(ground) {
      const clients = Array.from({ length: 20 }, () => rawExchange(ground, trickle(head), slowestMs));
      await othersGetOn(ground);
      const replies = await Promise.all(clients);
      must(
        replies.every(({ status }) => status === 408),
        'they were not all told',
        replies.slice(0, 2).map(({ status, ms, text }) => ({ status, ms, text: text.slice(0, 200) })),
      );
    },
    async control(ground) {
      const body = '{"runtime":"bash","code":"true"}';
      const whole = `POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
      // Slow, but not for ever: a second in the middle.
      const patient = await rawExchange(
        ground,
        (socket) => {
          socket.write(whole.slice(0, 30));
          setTimeout(() => socket.write(whole.slice(30)), 500);
          setTimeout(() => socket.write(body), 1_000);
        },
        ground.netMs,
      );
      must(patient.status === 200, 'one that is slow for a second is not served', patient);
    },
  };
}

const smuggling: Attack = {
  id: 'requests-smuggled',
  group,
  title: 'two requests in one: lengths that contradict, chunks that are none, bare line feeds',
  must: '400; the second is never answered',
  async attack(ground) {
    const inner = 'DELETE /v1/functions/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const heads = [
      `Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
      `Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}${inner}`,
      `Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${inner}`,
      `Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n${inner}`,
      `Content-Length: -1\r\n\r\n${inner}`,
      `X: a\nContent-Length: 0\r\n\r\n${inner}`,
    ];
    for (const head of heads) {
      const send = (socket: Socket) => socket.write(`POST /v1/run HTTP/1.1\r\nHost: localhost\r\n${head}`);
      const reply = await rawExchange(ground, send, ground.netMs);
      const answers = reply.text.match(/^HTTP\/1\.1 /gm)?.length ?? 0;
      must(answers <= 1 && reply.status === 400, 'it was taken for something', {
        head,
        text: reply.text.slice(0, 300),
      });
    }
  },
  async control(ground) {
    // In order, two requests on one connection are two.
    const send = (socket: Socket) =>
      socket.write(
        'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      );
    const { text } = await rawExchange(ground, send, ground.netMs);
    must(text.match(/HTTP\/1\.1 200/g)?.length === 2, 'two requests are not answered', text);
  },
};

const queue: Attack = {
  id: 'requests-queue',
  group,
  title:
    'more invocations by one key than there are places and the queue holds, each of which goes on for minutes',
  must: '429 with Retry-After; another key is served meanwhile',
  async attack(ground) {
    const { owner, thief } = await ground.keyed();
    const accepted: string[] = [];
    try {
      const refused = await fillQueue(ground, thief, accepted);
      must(
        refused?.status === 429 && Number(refused.headers.get('retry-after')) > 0,
        'none was refused, or it is not told when to come back',
        [accepted.length, refused?.status],
      );
      const limits = ground.patientLimits;
      const { outcome } = await owner.client.run({ runtime: 'bash', code: 'true', limits });
      must(outcome?.status === 'ok', 'the other is not served', outcome);
    } finally {
      await Promise.all(accepted.map((id) => thief.client.cancel(id).catch(() => {})));
    }
    await othersGetOn(ground);
  },
  async control(ground) {
    // The same key waits for its own.
    const { thief } = await ground.keyed();
    const accepted: string[] = [];
    try {
      await fillQueue(ground, thief, accepted);
      const refused = await thief.ask('POST', '/v1/run', { body: { runtime: 'bash', code: 'true' } });
      must(refused.status === 429, 'it is not refused', refused.status);
    } finally {
      await Promise.all(accepted.map((id) => thief.client.cancel(id).catch(() => {})));
    }
  },
};

/** Calls until one is refused; resolves with that. What was accepted goes on until it is cancelled. */
async function fillQueue(ground: Ground, caller: Caller, accepted: string[]): Promise<Response | undefined> {
  const body = { runtime: 'bash', code: 'sleep 600', limits: { wallMs: 600_000 } };
  const most = ground.platform.config.ONCEBOX_CONCURRENCY + 4 * queueMax;
  for (let sent = 0; sent < most; sent++) {
    const response = await caller.ask('POST', '/v1/run', { body, headers: { prefer: 'respond-async' } });
    if (response.status !== 202) return response;
    accepted.push(((await response.json()) as { id: string }).id);
  }
  return undefined;
}

const ids: Attack = {
  id: 'requests-ids',
  group,
  title: 'guessing the id of an invocation, to read it, its files, or to cancel it',
  must: '404',
  async attack(ground) {
    const { id } = await ground.run({ runtime: 'bash', code: 'true' });
    for (const guess of guessesAt(id)) {
      const path = `/v1/invocations/${encodeURIComponent(guess)}`;
      for (const [method, more] of [
        ['GET', ''],
        ['GET', '/files'],
        ['DELETE', ''],
      ] as const) {
        const { status } = await fetch(ground.url + path + more, { method });
        must(status === 404 || status === 400, `${method} of ${guess}`, status);
      }
    }
  },
  async control(ground) {
    const { id } = await ground.run({ runtime: 'bash', code: 'true' });
    must((await ground.client.invocation(id)).id === id, 'the right id is not found', id);
  },
};

/** Of its length and letters, near it, and what a store might take for a pattern. */
function guessesAt(id: string): string[] {
  const prefix = /^[a-z]+_/.exec(id)?.[0] ?? '';
  const random = Array.from(
    { length: 30 },
    () =>
      prefix +
      randomBytes(30)
        .toString('hex')
        .slice(0, id.length - prefix.length),
  );
  return [
    ...random,
    id.slice(0, -1),
    `${id}x`,
    '*',
    `${prefix}*`,
    '../meta',
    `${id}:files`,
    'inv_%00',
    '__proto__',
  ];
}

const cancelled: Attack = {
  id: 'requests-abandoned',
  group,
  title: 'callers that go away in the middle of a run, a hundred of them',
  must: 'their invocations end; others get on',
  async attack(ground) {
    const limits = { wallMs: 300_000 };
    const callers = Array.from({ length: 100 }, async () => {
      const gone = new AbortController();
      const call = ground.client.run({ runtime: 'bash', code: 'sleep 300', limits }, { signal: gone.signal });
      setTimeout(() => gone.abort(), ground.ms(200));
      await call.catch((error: unknown) => {
        if (error instanceof OnceboxError && error.status !== 429) throw error;
      });
    });
    await Promise.all(callers);
    const deadline = performance.now() + ground.netMs;
    for (;;) {
      const { sandboxes } = await ground.client.sandboxes();
      const running = sandboxes.filter(({ invocationId }) => invocationId !== undefined);
      if (running.length === 0) break;
      must(performance.now() < deadline, 'invocations that nobody waits for go on', running.length);
      await delay(50);
    }
    await othersGetOn(ground);
  },
  async control(ground) {
    // Of a caller who waits, it goes on.
    const queued = await ground.client.runAsync({
      runtime: 'bash',
      code: 'sleep 300',
      limits: { wallMs: 300_000 },
    });
    await delay(ground.ms(500));
    const { status } = await ground.client.invocation(queued.id);
    await ground.client.cancel(queued.id);
    must(status === 'running' || status === 'queued', 'it ended', status);
  },
};

const postHead =
  'POST /v1/run HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{';

export const requestAttacks: readonly Attack[] = [
  deep,
  large,
  slow(
    'requests-slow-headers',
    'twenty clients that send a byte of a header a second',
    'GET /healthz HTTP/1.1\r\nX-Slow: ',
  ),
  slow('requests-slow-body', 'twenty clients that send a byte of a body a second', postHead),
  smuggling,
  queue,
  ids,
  cancelled,
];
