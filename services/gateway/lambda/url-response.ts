import type { StatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import { bodyAllowed, endToEnd, type RawReply } from '../http-response.ts';
import { resultText } from '../result-text.ts';
import type { StreamedReply } from '../stream-reply.ts';
import { collect, type Pieces, piecesOf } from './pieces.ts';

const bufferedMaxBytes = 6 * 1024 * 1024;

const headSchema = z.object({
  statusCode: z.coerce.number().int().min(200).max(599),
  headers: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).nullish(),
  cookies: z.array(z.string()).nullish(),
});
const responseSchema = headSchema.extend({ body: z.unknown(), isBase64Encoded: z.boolean().nullish() });
const streamedHeadSchema = headSchema.partial({ statusCode: true });

/** What a handler returns is the response where it has a `statusCode`, and else the body of one. */
export function responseOf({ outcome }: Invocation): RawReply {
  if (outcome?.status !== 'ok') return failed();
  const { result = null } = outcome;
  const isResponse = typeof result === 'object' && result !== null && 'statusCode' in result;
  if (!isResponse) {
    const raw = typeof result === 'string' ? result : resultText(outcome);
    return { status: 200, headers: new Headers({ 'content-type': json }), raw };
  }
  const parsed = responseSchema.safeParse(result);
  const headers = parsed.success ? headersOf(parsed.data, json) : undefined;
  if (!parsed.success || !headers) return failed();
  const { statusCode: status, body, isBase64Encoded } = parsed.data;
  const text = body === undefined || body === null ? '' : textOf(body);
  const raw = isBase64Encoded ? new Uint8Array(Buffer.from(text, 'base64')) : text;
  return { status, headers, raw: bodyAllowed(status) ? raw : null };
}

/** Of a URL whose mode is RESPONSE_STREAM: what a handler streams goes out as it comes. What fails then cuts the connection. */
export const streamedResponse: StreamedReply = async (events, leave) => {
  const pieces = piecesOf(events);
  const { begun, ended } = await untilHead(pieces);
  const isWell = !ended || ended.outcome?.status === 'ok';
  const response = isWell ? splitHead(begun) : undefined;
  if (!response) {
    if (!ended) leave();
    return responseFrom(failed());
  }
  const { status, headers } = response;
  if (ended) return responseFrom({ status, headers, raw: bytesFor(status, response.body) });
  if (!bodyAllowed(status)) {
    // The client has all of it. The handler may do more, and nobody follows that.
    await events.return();
    return responseFrom({ status, headers, raw: null });
  }
  let waiting: Buffer | undefined = response.body.length > 0 ? response.body : undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (waiting) {
          controller.enqueue(waiting);
          waiting = undefined;
          return;
        }
        const next = await pieces.next();
        if (!next.done) return controller.enqueue(next.value);
        const { id, outcome } = next.value;
        if (outcome?.status !== 'ok') throw new Error(`the stream of ${id} is not whole: ${outcome?.status}`);
        controller.close();
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status, headers });
};

/** Of a URL whose mode is BUFFERED: what a handler streams is answered when it is there as a whole. */
export const bufferedResponse: StreamedReply = async (events) => {
  const { invocation, bytes } = await collect(piecesOf(events), bufferedMaxBytes);
  const response = bytes && invocation.outcome?.status === 'ok' ? splitHead(bytes) : undefined;
  if (!response) return responseFrom(failed());
  const { status, headers, body } = response;
  return responseFrom({ status, headers, raw: bytesFor(status, body) });
};

/*
 * How a handler that streams says its status and headers: JSON ahead of the body, with eight NULs between them. See
 * https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html and `HttpResponseStream` of AWS's runtime.
 * Other bodies begin with none of its fields, so they need not wait until it is told that there is none.
 */
const delimiter = Buffer.alloc(8);
const openings = ['{"statusCode":', '{"headers":', '{"cookies":', '{}\0'];
const headMaxBytes = 64 * 1024;

/** As much as it takes to tell whether there is a head, and to have all of it. With the record if that is all that there is. */
async function untilHead(pieces: Pieces): Promise<{ begun: Buffer; ended?: Invocation }> {
  let begun: Buffer = Buffer.alloc(0);
  for (let next = await pieces.next(); ; next = await pieces.next()) {
    if (next.done) return { begun, ended: next.value };
    begun = Buffer.concat([begun, next.value]);
    if (!mayHaveHead(begun) || begun.includes(delimiter) || begun.length > headMaxBytes) return { begun };
  }
}

function mayHaveHead(begun: Buffer): boolean {
  const text = begun.toString('latin1', 0, 32);
  return openings.some((opening) => text.startsWith(opening) || opening.startsWith(text));
}

/** Undefined where there is a head that is none. */
function splitHead(begun: Buffer): { status: StatusCode; headers: Headers; body: Buffer } | undefined {
  const end = mayHaveHead(begun) ? begun.subarray(0, headMaxBytes).indexOf(delimiter) : -1;
  if (end === -1) return { status: 200, headers: new Headers({ 'content-type': octets }), body: begun };
  try {
    const head = streamedHeadSchema.parse(JSON.parse(begun.toString('utf8', 0, end)));
    const headers = headersOf(head, octets);
    const status = (head.statusCode ?? 200) as StatusCode;
    return headers && { status, headers, body: begun.subarray(end + delimiter.length) };
  } catch {
    return undefined;
  }
}

const json = 'application/json';
const octets = 'application/octet-stream';

/** Undefined where they are no names or values of headers. */
function headersOf({ headers: given, cookies }: z.infer<typeof streamedHeadSchema>, type: string) {
  const headers = new Headers({ 'content-type': type });
  try {
    const pairs = Object.entries(given ?? {}).map(([name, value]): [string, string] => [name, String(value)]);
    for (const [name, value] of endToEnd(pairs)) if (!name.startsWith('oncebox-')) headers.set(name, value);
    for (const cookie of cookies ?? []) headers.append('set-cookie', cookie);
    return headers;
  } catch {
    return undefined;
  }
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
const bytesFor = (status: number, bytes: Buffer) => (bodyAllowed(status) ? new Uint8Array(bytes) : null);
const responseFrom = ({ status, headers, raw }: RawReply) => new Response(raw, { status, headers });

/** As a function's URL at AWS: what happened, the log says. */
function failed(): RawReply {
  return {
    status: 502,
    headers: new Headers({ 'content-type': json }),
    raw: '{"Message":"Internal Server Error"}',
  };
}
