import type { CallOptions } from './send.ts';

/** How an invocation is to be treated. */
export interface InvocationOptions extends CallOptions {
  /** Which of your waiting invocations go first; `normal` unless given. */
  priority?: 'high' | 'normal' | 'low';
  /**
   * A second call with the same key gets the invocation of the first, for a day, so trying again runs nothing twice. What
   * has a key is not cancelled by hanging up. So one is made only for what is not waited for, unless given; null: none.
   */
  idempotencyKey?: string | null;
  /** W3C trace context, of the span that calls. */
  traceparent?: string;
  tracestate?: string;
}

/** Of an invocation that is not waited for. */
export interface AsyncInvocationOptions extends InvocationOptions {
  /** Where the record is sent by POST when it is finished. */
  callback?: string;
}

/** What a call by fetch takes of the options: its headers and its signal. */
export function invocationRequest({
  signal,
  priority,
  idempotencyKey,
  callback,
  traceparent,
  tracestate,
}: AsyncInvocationOptions = {}) {
  const headers = {
    'oncebox-priority': priority,
    'idempotency-key': idempotencyKey,
    'oncebox-callback': callback,
    traceparent,
    tracestate,
  };
  const given = Object.entries(headers).filter((pair): pair is [string, string] => pair[1] != null);
  return { headers: Object.fromEntries(given), ...(signal && { signal }) };
}

/** As `invocationRequest`, of what is not waited for. */
export function asyncRequest(options: AsyncInvocationOptions = {}) {
  const request = invocationRequest({ idempotencyKey: newKey(), ...options });
  return { ...request, headers: { ...request.headers, prefer: 'respond-async' } };
}

/** 128 random bits. `crypto.randomUUID` is not there for pages that came by plain HTTP. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
