import type { z } from 'zod';
import { errorOfReply, OnceboxError } from './oncebox-error.ts';
import { type RetryOptions, retryAfterMs, retryPolicy, withRetries } from './retry.ts';

/** What is uploaded as it is. A Node `Readable` is an async iterable of bytes. */
export type Upload = Blob | Uint8Array | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

export interface CallOptions {
  /** Aborting a call that waits cancels its task, or its invocation where that has no idempotency key. */
  signal?: AbortSignal;
}

export interface ClientOptions {
  /** Goes along as `Authorization: Bearer …`. */
  apiKey?: string;
  /** Instead of the platform's own `fetch`, which in Node gives up after five minutes without a byte. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /**
   * How often, or how, a call is tried again that was refused for the moment or whose connection failed; 0: never.
   * Only where that cannot do a thing twice.
   */
  retries?: number | RetryOptions;
  /** Go along with each request. */
  headers?: Record<string, string>;
}

export interface SendOptions extends CallOptions {
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is, while it comes in. */
  upload?: Upload;
  headers?: Record<string, string>;
}

/** Sends a request to the gateway and resolves with its reply; a refusal rejects with an OnceboxError. */
export type Send = (method: string, path: string, options?: SendOptions) => Promise<Response>;

export function createSend(baseUrl: string, options: ClientOptions = {}): Send {
  const { apiKey, fetch = (url, init) => globalThis.fetch(url, init), headers: common } = options;
  const base = baseUrl.replace(/\/+$/, '');
  const policy = retryPolicy(options.retries);
  const credentials = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };

  return async (method, path, { signal, json, upload, headers: own } = {}) => {
    const type = upload === undefined ? 'application/json' : 'application/octet-stream';
    // Made here, what cannot be sent is refused at once and not tried again.
    const headers = new Headers({ 'content-type': type, ...credentials, ...common, ...own });
    const text = json === undefined ? null : JSON.stringify(json);
    const attempt = async () => {
      const response = await fetch(base + path, {
        method,
        headers: Object.fromEntries(headers),
        body: upload === undefined ? text : bodyOf(upload),
        signal: signal ?? null,
        // Fetch takes a stream only with this, which says that the reply is read after the body is sent.
        ...(upload !== undefined && { duplex: 'half' }),
      });
      if (response.ok) return response;
      throw await errorOfReply(response, retryAfterMs(response.headers.get('retry-after')));
    };
    // A stream is gone once it is sent.
    if (!isRepeatable(upload)) return attempt();
    const isSafe = ['GET', 'PUT', 'DELETE'].includes(method) || headers.has('idempotency-key');
    return withRetries(attempt, { policy, isSafe, signal });
  };
}

/** Sends a request and parses the JSON of its reply. */
export async function call<S extends z.ZodType>(
  send: Send,
  schema: S,
  ...request: Parameters<Send>
): Promise<z.output<S>> {
  const response = await send(...request);
  const text = await response.text();
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    const [method, path] = request;
    const message = `cannot read the reply to ${method} ${path}: it is not what oncebox sends`;
    throw new OnceboxError(response.status, { message }, { cause });
  }
}

function isRepeatable(upload: Upload | undefined): boolean {
  return upload === undefined || upload instanceof Blob || upload instanceof Uint8Array;
}

function bodyOf(upload: Upload): Blob | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
  // Bytes in shared memory are refused by `fetch`, which says so.
  if (upload instanceof Uint8Array) return upload as Uint8Array<ArrayBuffer>;
  if (upload instanceof Blob || upload instanceof ReadableStream) return upload;
  // `ReadableStream.from` is not in every browser yet.
  const iterator = upload[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel(reason) {
      await iterator.return?.(reason);
    },
  });
}
