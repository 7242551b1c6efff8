import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { testConfig } from '../support/platform.ts';
import { type CollectedSpan, useCollector } from './use-collector.ts';

const collector = useCollector();
let platform: Platform;

beforeAll(async () => {
  const config = {
    ...(await testConfig({ ONCEBOX_DEFAULT_LIMITS: 'wallMs=60000' })),
    ONCEBOX_OTLP_ENDPOINT: collector.endpoint(),
  };
  platform = await startPlatform(config, { log: { step() {}, event() {}, line() {} } });
});
afterAll(async () => {
  await platform?.close();
  if (platform) await rm(platform.config.ONCEBOX_DATA_DIR, { recursive: true });
  expect(collector.refused).toEqual([]);
});

const traceId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, '0')).join('');
const call = (path: string, body: unknown, headers: Record<string, string> = {}, method = 'POST') =>
  fetch(platform.url + path, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

async function spansOf(id: string, count: number): Promise<Map<string, CollectedSpan>> {
  await vi.waitFor(() => expect(collector.ofTrace(id)).toHaveLength(count), 60_000);
  return new Map(collector.ofTrace(id).map((span) => [span.name, span]));
}

test('an invocation is one trace across gateway, queue and worker, below the caller, down into the program', async () => {
  const id = traceId();
  const response = await call(
    '/v1/run',
    { runtime: 'bash', code: 'echo $TRACEPARENT; echo $TRACESTATE; sleep 0.1' },
    { traceparent: `00-${id}-00f067aa0ba902b7-01`, tracestate: 'vendor=opaque' },
  );
  const record = (await response.json()) as { id: string; stdout: string };
  const spans = await spansOf(id, 9);
  const of = (name: string) => spans.get(name) ?? expect.fail(`there is no span ${name}`);
  const server = of('POST /v1/run');
  const producer = of('send invocations');
  const consumer = of('process invocations');

  expect(server).toMatchObject({ service: 'oncebox-gateway', kind: 2, parentSpanId: '00f067aa0ba902b7' });
  expect(server.attributes).toMatchObject({ 'http.route': '/v1/run', 'http.response.status_code': 200 });
  expect(producer).toMatchObject({ service: 'oncebox-gateway', kind: 4, parentSpanId: server.spanId });
  expect(consumer).toMatchObject({ service: 'oncebox-worker', kind: 5, parentSpanId: producer.spanId });
  expect(consumer.attributes).toMatchObject({ 'messaging.message.id': record.id, 'oncebox.outcome': 'ok' });
  expect(of('queue').parentSpanId).toBe(producer.spanId);
  for (const phase of ['admit', 'prepare', 'lease', 'start', 'run'])
    expect(of(phase), phase).toMatchObject({ parentSpanId: consumer.spanId, service: 'oncebox-worker' });

  // They follow one another, and the run is as long as the program was.
  const phases = ['queue', 'admit', 'prepare', 'lease', 'start', 'run'].map(of);
  for (const [index, phase] of phases.entries()) {
    expect(phase.endTimeUnixNano).toBeGreaterThanOrEqual(phase.startTimeUnixNano);
    const next = phases[index + 1];
    if (next) expect(next.startTimeUnixNano - phase.endTimeUnixNano).toBeCloseTo(0, 0);
  }
  expect(of('run').endTimeUnixNano - of('run').startTimeUnixNano).toBeGreaterThan(100);

  expect(record.stdout).toBe(`00-${id}-${consumer.spanId}-01\nvendor=opaque\n`);
  expect(consumer.traceState).toBe('vendor=opaque');
});

test.each([
  [
    'node',
    'index.mjs',
    'export const handler = (event, context) => [context.traceparent, process.env.TRACEPARENT];',
  ],
  [
    'python',
    'index.py',
    'import os\ndef handler(event, context):\n    return [context.traceparent, os.environ["TRACEPARENT"]]\n',
  ],
])('a handler in %s is told its place in the trace, each call another', async (runtime, path, content) => {
  const deploy = { runtime, handler: 'index.handler', files: [{ path, content }] };
  expect((await call(`/v1/functions/traced-${runtime}`, deploy, {}, 'PUT')).status).toBe(201);
  for (let times = 0; times < 3; times++) {
    const id = traceId();
    const headers = { traceparent: `00-${id}-00f067aa0ba902b7-01` };
    const told = (await (
      await call(`/v1/functions/traced-${runtime}/invoke`, null, headers)
    ).json()) as string[];
    const consumer = (await spansOf(id, 9)).get('process invocations');
    expect(told).toEqual(Array(2).fill(`00-${id}-${consumer?.spanId}-01`));
    expect(consumer?.attributes['faas.name']).toBe(`traced-${runtime}`);
  }
});

test("a failed outcome marks the worker's span, and a client's mistake marks none", async () => {
  const id = traceId();
  const headers = { traceparent: `00-${id}-00f067aa0ba902b7-01` };
  await call('/v1/run', { runtime: 'bash', code: 'exit 3' }, headers);
  const spans = await spansOf(id, 9);
  expect(spans.get('process invocations')?.status).toMatchObject({ code: 2, message: 'exited' });
  expect(spans.get('POST /v1/run')?.status.code ?? 0).toBe(0);

  const other = traceId();
  await call('/v1/run', { runtime: 'cobol' }, { traceparent: `00-${other}-00f067aa0ba902b7-01` });
  const [refused] = (await spansOf(other, 1)).values();
  expect(refused?.attributes['http.response.status_code']).toBe(400);
  expect(refused?.status.code ?? 0).toBe(0);
});

test.each([
  'garbage',
  '00-00000000000000000000000000000000-00f067aa0ba902b7-01',
  `00-${'a'.repeat(32)}-0000000000000000-01`,
  `ff-${'a'.repeat(32)}-00f067aa0ba902b7-01`,
  `00-${'A'.repeat(32)}-00f067aa0ba902b7-01`,
])('a traceparent that is none begins a trace of its own: %s', async (traceparent) => {
  const code = 'echo $TRACEPARENT';
  const { stdout } = (await (await call('/v1/run', { runtime: 'bash', code }, { traceparent })).json()) as {
    stdout: string;
  };
  expect(stdout).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01\n$/);
  expect(stdout).not.toContain('aaaaaaaaaaaaaaaa');
  const spans = await spansOf(stdout.slice(3, 35), 9);
  expect(spans.get('POST /v1/run')?.parentSpanId ?? '').toBe('');
});

test('who asks for no recording gets none, and is told of the trace all the same', async () => {
  const id = traceId();
  const headers = { traceparent: `00-${id}-00f067aa0ba902b7-00` };
  const { stdout } = (await (
    await call('/v1/run', { runtime: 'bash', code: 'echo $TRACEPARENT' }, headers)
  ).json()) as { stdout: string };
  expect(stdout).toMatch(new RegExp(`^00-${id}-[0-9a-f]{16}-00\n$`));
  // A later one that is recorded comes after it.
  const later = traceId();
  await call(
    '/v1/run',
    { runtime: 'bash', code: 'true' },
    { traceparent: `00-${later}-00f067aa0ba902b7-01` },
  );
  await spansOf(later, 9);
  expect(collector.ofTrace(id)).toEqual([]);
});

test("a program's own TRACEPARENT is left to it", async () => {
  const body = { runtime: 'bash', code: 'echo $TRACEPARENT', env: { TRACEPARENT: 'mine' } };
  expect(await (await call('/v1/run', body)).json()).toMatchObject({ stdout: 'mine\n' });
});
