import type { z } from 'zod';
import { errorBodySchema } from './contract/error.ts';
import { OnceboxError } from './oncebox-error.ts';

/** What is uploaded as it is. A Node `Readable` is an async iterable of bytes. */
export type Upload = Blob | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

export interface CallOptions {
  /** Aborting a call that waits cancels its invocation or task. */
  signal?: AbortSignal;
}

export interface ClientOptions {
  /** Instead of the platform's own `fetch`, which in Node gives up after five minutes without a byte. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  /** Proves who calls, to a platform that asks. */
  apiKey?: string;
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

export function createSend(baseUrl: string, { fetch = globalThis.fetch, apiKey }: ClientOptions = {}): Send {
  const base = baseUrl.replace(/\/+$/, '');
  const credentials = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  return async (method, path, { signal, json, upload, headers } = {}) => {
    const type = upload === undefined ? 'application/json' : 'application/octet-stream';
    const text = json === undefined ? null : JSON.stringify(json);
    const response = await fetch(base + path, {
      method,
      headers: { 'content-type': type, ...credentials, ...headers },
      body: upload === undefined ? text : bodyOf(upload),
      signal: signal ?? null,
      // Fetch takes a stream only with this, which says that the reply is read after the body is sent.
      ...(upload !== undefined && { duplex: 'half' }),
    });
    if (response.ok) return response;
    const parsed = errorBodySchema.safeParse(await response.json().catch(() => undefined));
    throw new OnceboxError(response.status, parsed.success ? parsed.data.error : {});
  };
}

/** Sends a request and parses the JSON of its reply. */
export async function call<S extends z.ZodType>(
  send: Send,
  schema: S,
  ...request: Parameters<Send>
): Promise<z.output<S>> {
  return schema.parse(await (await send(...request)).json());
}

function bodyOf(upload: Upload): Blob | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
  const isNative = upload instanceof Blob || upload instanceof Uint8Array || upload instanceof ReadableStream;
  if (isNative) return upload;
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
