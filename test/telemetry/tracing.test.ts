import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../../services/shared/config.ts';
import { openTracing } from '../../services/telemetry/open-tracing.ts';
import { readTraceContext } from '../../services/telemetry/trace-context.ts';
import { noTracing } from '../../services/telemetry/tracing.ts';

const parent = { traceparent: `00-${'a'.repeat(32)}-00f067aa0ba902b7-01`, tracestate: 'vendor=opaque' };

test('without a collector nothing is made, and a context is handed on as it came', async () => {
  const tracing = await openTracing({ endpoint: '', service: 'gateway' });
  expect(tracing).toBe(noTracing);
  expect(tracing.start('anything', { parent }).context).toBe(parent);
  expect(tracing.start('anything').context).toBeUndefined();
  // One for all: a request makes no object.
  expect(tracing.start('one')).toBe(tracing.start('other'));
});

test('a later version of the header is read as far as it is known', () => {
  const { traceparent } = parent;
  expect(readTraceContext(`01${traceparent.slice(2)}-more`, undefined)).toEqual({ traceparent });
  expect(readTraceContext(`${traceparent}-more`, undefined)).toBeUndefined();
  expect(readTraceContext(traceparent, 'x'.repeat(513))).toEqual({ traceparent });
});

test('a collector that never answers holds up nobody for long', async () => {
  const server = createServer(() => {}).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const tracing = await openTracing({ endpoint: `http://127.0.0.1:${port}/`, service: 'worker' });
  for (let index = 0; index < 5_000; index++) tracing.start('span').end();
  const from = performance.now();
  await tracing.close();
  expect(performance.now() - from).toBeLessThan(20_000);
});

test("the machine's own variable for all programs is heeded where ours is not set", () => {
  const OTEL_EXPORTER_OTLP_ENDPOINT = 'http://collector:4318';
  expect(loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT }).ONCEBOX_OTLP_ENDPOINT).toBe(OTEL_EXPORTER_OTLP_ENDPOINT);
  expect(loadConfig({ OTEL_EXPORTER_OTLP_ENDPOINT, ONCEBOX_OTLP_ENDPOINT: '' }).ONCEBOX_OTLP_ENDPOINT).toBe(
    '',
  );
  expect(() => loadConfig({ ONCEBOX_OTLP_ENDPOINT: 'file:///etc/passwd' })).toThrow('ONCEBOX_OTLP_ENDPOINT');
});

test('a collector that asks for a key gets it, and nobody else hears of it', async () => {
  const seen: unknown[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers['x-api-key'], request.headers['x-scope']);
    response.end('{}');
  }).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const OTEL_EXPORTER_OTLP_HEADERS = 'X-Api-Key=a%2Cb%3D%3D, x-scope = all';
  const { ONCEBOX_OTLP_HEADERS: headers } = loadConfig({ OTEL_EXPORTER_OTLP_HEADERS });
  const tracing = await openTracing({ endpoint: `http://127.0.0.1:${port}`, headers, service: 'worker' });
  tracing.start('span').end();
  await tracing.close();
  expect(seen).toEqual(['a,b==', 'all']);

  for (const wrong of ['hush', '=hush', 'a b=hush', 'a=hush%', 'a=hush%0ab']) {
    const refused = () => loadConfig({ ONCEBOX_OTLP_HEADERS: wrong });
    expect(refused, wrong).toThrow('ONCEBOX_OTLP_HEADERS');
    expect(refused, wrong).not.toThrow('hush');
  }
});
