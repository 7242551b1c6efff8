'use strict';
// Functions that are called by HTTP: a web-standard Request goes in, a Response comes out. A function that knows events only
// has the request as one, and its result is the body.
const { isUtf8 } = require('node:buffer');
const { isStreamed, sendChunk, sendRecord } = require('/.oncebox/stream.cjs');

/** What is longer is streamed: the most of a response that goes with the result, bytes. */
const wholeMaxBytes = 256 * 1024;
/** And for how long the rest of it is waited for, milliseconds. */
const promptMs = 5;

module.exports = { callHttp, isHttp, rehearseHttp };

/** Whether a job is a request, or its function takes nothing else. */
function isHttp({ http, handler }, callee) {
  return http === true || typeof callee !== 'function' || handler.endsWith('.fetch');
}

/** Resolves with the response as the gateway takes it, or with undefined when it was streamed. */
async function callHttp({ http = false, handler }, callee, event, context) {
  const isFunction = typeof callee === 'function';
  const takesRequest = !isFunction || /\.(fetch|default)$/.test(handler);
  const given = http
    ? event
    : { method: 'POST', url: 'http://function/', rawHeaders: [jsonType], body: JSON.stringify(event) };
  const argument = takesRequest ? requestOf(given) : given;
  const value = await (isFunction ? callee(argument, context) : callee.fetch(argument, context));
  const response = isResponse(value) ? value : responseOf(value);
  return send(response, http);
}

/** One call from end to end: else each fork would compile undici's classes and streams for itself. */
function rehearseHttp() {
  const fetch = async (request) =>
    new Response(await request.text(), { headers: { 'content-type': 'text/plain' } });
  void callHttp({ handler: 'index.default' }, { fetch }, {}, {});
  // All of it is promises, and nobody runs an event loop here.
  process._tickCallback();
}

const jsonType = ['content-type', 'application/json'];

function requestOf({ method, url, rawHeaders, body, bodyBase64 }) {
  const content = bodyBase64 === undefined ? body : Buffer.from(bodyBase64, 'base64');
  const hasBody = method !== 'GET' && method !== 'HEAD' && content !== undefined;
  return new Request(url, { method, headers: rawHeaders, ...(hasBody && { body: content }) });
}

/** Also one of a library's own class. */
function isResponse(value) {
  if (value instanceof Response) return true;
  return typeof value?.status === 'number' && typeof value.headers?.entries === 'function' && 'body' in value;
}

function responseOf(value) {
  const bytes = { 'content-type': 'application/octet-stream' };
  if (isStreamed(value))
    return { status: 200, headers: new Headers(bytes), body: ReadableStream.from(value) };
  if (typeof value === 'string') return new Response(value);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
    return new Response(value, { headers: bytes });
  return new Response(JSON.stringify(value ?? null), { headers: [jsonType] });
}

/**
 * A body that is there at once goes with the result; of one that takes its time, or is long, head and chunks go ahead of it.
 */
async function send({ status, headers, body }, mayStream) {
  // Those that occur more than once, as set-cookie may, are entries of their own.
  const head = { status, headers: [...headers.entries()] };
  if (body === null) return { ...head, body: '' };
  const iterator = body[Symbol.asyncIterator]();
  const waiting = [];
  let waitingBytes = 0;
  let isStreaming = false;
  const stream = () => {
    isStreaming = true;
    sendRecord({ type: 'head', ...head });
    for (const chunk of waiting.splice(0)) sendChunk(chunk);
  };
  const begin = () => {
    if (mayStream && !isStreaming) stream();
  };
  const timer = mayStream ? setTimeout(begin, promptMs) : undefined;
  try {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      const chunk = typeof next.value === 'string' ? Buffer.from(next.value) : next.value;
      if (isStreaming) {
        sendChunk(chunk);
        continue;
      }
      waiting.push(chunk);
      waitingBytes += chunk.byteLength;
      if (waitingBytes > wholeMaxBytes) begin();
    }
  } finally {
    clearTimeout(timer);
  }
  if (isStreaming) return undefined;
  const bytes = Buffer.concat(waiting);
  return isUtf8(bytes)
    ? { ...head, body: bytes.toString() }
    : { ...head, bodyBase64: bytes.toString('base64') };
}
