import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll } from 'vitest';
import { z } from 'zod';

const attributesSchema = z
  .array(z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) }))
  .default([])
  .transform((list) =>
    Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]] as const)),
  );
const nanoseconds = z.string().transform((text) => Number(BigInt(text) / 1000n) / 1000);
const spanSchema = z.object({
  traceId: z.string().regex(/^[0-9a-f]{32}$/),
  spanId: z.string().regex(/^[0-9a-f]{16}$/),
  parentSpanId: z.string().optional(),
  traceState: z.string().optional(),
  name: z.string(),
  /** As OTLP numbers them: 1 internal, 2 server, 4 producer, 5 consumer. */
  kind: z.number(),
  startTimeUnixNano: nanoseconds,
  endTimeUnixNano: nanoseconds,
  attributes: attributesSchema,
  status: z.object({ code: z.number().optional(), message: z.string().optional() }).default({}),
});
/** ExportTraceServiceRequest of OTLP 1.x, in its JSON encoding. */
const requestSchema = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: attributesSchema }),
      scopeSpans: z.array(z.object({ spans: z.array(spanSchema) })),
    }),
  ),
});

export type CollectedSpan = z.infer<typeof spanSchema> & { service: unknown };

/** An OTLP/HTTP collector for the tests of a file. What is no OTLP it refuses, and remembers. */
export function useCollector() {
  const spans: CollectedSpan[] = [];
  const refused: unknown[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request).catch(() => undefined);
    // Who waited for too long goes in the middle of it.
    if (body === undefined) return;
    const parsed = requestSchema.safeParse(JSON.parse(body));
    if (request.url !== '/v1/traces' || !parsed.success) {
      refused.push(parsed.error ?? request.url);
      response.writeHead(400).end();
      return;
    }
    for (const { resource, scopeSpans } of parsed.data.resourceSpans) {
      const service = resource.attributes['service.name'];
      spans.push(...scopeSpans.flatMap((scope) => scope.spans).map((span) => ({ ...span, service })));
    }
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    refused,
    endpoint: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ofTrace: (traceId: string) => spans.filter((span) => span.traceId === traceId),
    all: () => spans,
  };
}
