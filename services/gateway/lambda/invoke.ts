import type { Context } from 'hono';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import { newInvocationId } from '../../queue/invocation-id.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { dispatch } from '../dispatch.ts';
import { findFunction } from '../function-request.ts';
import type { RawReply } from '../http-response.ts';
import { refuseDeepJson } from '../read-body.ts';
import { resultText } from '../result-text.ts';
import { invalidParameter, LambdaError } from './errors.ts';
import { type Failure, failureOf } from './failure.ts';
import { arnOf, executedVersion, referenceOf, type Target, targetOf } from './function-name.ts';
import { logTailOf } from './log.ts';
import { collect, piecesOf } from './pieces.ts';
import { readBytes } from './read.ts';
import { eventStreamReply } from './stream.ts';

type C = Context<GatewayEnv>;

const syncMaxBytes = 6 * 1024 * 1024;
const asyncMaxBytes = 1024 * 1024;
/** Of what a handler streams. */
const tooLarge: Failure = {
  errorType: 'Function.ResponseSizeTooLarge',
  errorMessage: `Response payload size exceeded maximum allowed payload size (${syncMaxBytes} bytes).`,
};
/** The most that may be before base64, bytes. */
const clientContextMaxBytes = 3583;

/** Invoke, InvokeAsync and InvokeWithResponseStream: all enqueue as any call of a function does. */
export function invokeOperations(deps: GatewayDeps) {
  /** What is to be called, and what says so to the caller. Throws before anything is enqueued. */
  async function prepare(c: C, maxBytes: number) {
    const target = targetOf(c);
    const called = await findFunction(deps, referenceOf(target), c.get('tenant'));
    const eventJson = await readEvent(c, maxBytes, deps.config.ONCEBOX_BODY_MAX_BYTES);
    const id = newInvocationId();
    const version = executedVersion(target, called.version);
    const request = called.request(id, eventJson, { ...contextOf(c, target), functionVersion: version });
    c.header('x-amzn-requestid', id);
    c.header('x-amz-executed-version', version);
    return { id, request, version };
  }

  async function invoke(c: C): Promise<Response> {
    const type = c.req.header('x-amz-invocation-type') ?? 'RequestResponse';
    switch (type) {
      case 'RequestResponse':
        return call(c);
      case 'Event':
        return accept(c);
      case 'DryRun':
        // All that can be wrong with it is told.
        await findFunction(deps, referenceOf(targetOf(c)), c.get('tenant'));
        await readEvent(c, syncMaxBytes, deps.config.ONCEBOX_BODY_MAX_BYTES);
        return c.body(null, 204);
      default:
        throw invalidParameter(
          `InvocationType: must be Event, RequestResponse or DryRun and not ${type.slice(0, 60)}`,
        );
    }
  }

  async function call(c: C): Promise<Response> {
    const { id, request, version } = await prepare(c, syncMaxBytes);
    const withLog = wantsLog(c);
    const replyOf = (invocation: Invocation, failure: Failure | undefined, streamed?: Buffer): RawReply => {
      const isBytes = streamed !== undefined && failure === undefined;
      const headers = new Headers({
        'content-type': isBytes ? 'application/octet-stream' : 'application/json',
      });
      if (failure) headers.set('x-amz-function-error', 'Unhandled');
      if (withLog)
        headers.set('x-amz-log-result', logTailOf(invocation, version, request.limits.memoryBytes));
      const { outcome } = invocation;
      const isResult = failure === undefined && outcome?.status === 'ok';
      const text = isResult ? resultText(outcome) : JSON.stringify(failure);
      return { status: 200, headers, raw: isBytes ? new Uint8Array(streamed) : text };
    };
    return dispatch(c, deps, id, request, (invocation) => replyOf(invocation, failureOf(invocation)), {
      // All of it at once, as Lambda does: how it ended is said ahead of it.
      async streamed(events) {
        const { invocation, bytes } = await collect(piecesOf(events), syncMaxBytes);
        const { raw, ...rest } = replyOf(
          invocation,
          failureOf(invocation) ?? (bytes ? undefined : tooLarge),
          bytes,
        );
        return new Response(raw, rest);
      },
    }).catch((error: unknown) => endPending(c, error));
  }

  /** Clients send again what has a 504: it is not to run beside that. Who has a key comes back for this one. */
  async function endPending(c: C, error: unknown): Promise<never> {
    const isPending = error instanceof PlatformError && error.code === 'result_pending';
    const id = isPending ? error.details.invocationId : undefined;
    if (id !== undefined && c.req.header('idempotency-key') === undefined)
      await deps.queue.cancel(id, c.get('tenant'));
    throw error;
  }

  async function accept(c: C): Promise<Response> {
    const { id, request } = await prepare(c, asyncMaxBytes);
    const accepted = await dispatch(c, deps, id, request, () => ({ status: 202, body: null }), 'accepted');
    await accepted.body?.cancel();
    return c.body(null, 202);
  }

  return {
    invoke,
    /** Lambda's own way of old; what a new one answers is the status. */
    invokeAsync: accept,
    async stream(c: C): Promise<Response> {
      const type = c.req.header('x-amz-invocation-type') ?? 'RequestResponse';
      if (type === 'DryRun') return invoke(c);
      const { id, request, version } = await prepare(c, syncMaxBytes);
      const memoryBytes = wantsLog(c) ? request.limits.memoryBytes : undefined;
      return dispatch(c, deps, id, request, () => ({ status: 200, body: null }), {
        follow: (events, onLeft) => eventStreamReply(events, { version, memoryBytes, onLeft }),
      });
    },
  };

  function contextOf(c: C, { name, qualifier }: Target) {
    const clientContext = clientContextOf(c.req.header('x-amz-client-context'));
    return {
      invokedFunctionArn: arnOf(c, name, qualifier),
      ...(clientContext !== undefined && { clientContext }),
    };
  }
}

/**
 * The event as JSON; a call without one has an empty one. What is too large is read all the same, as far as any body is: a
 * client whose connection ends while it writes may not see the reply.
 */
async function readEvent(c: C, maxBytes: number, bodyMaxBytes: number): Promise<string> {
  const bytes = await readBytes(c, bodyMaxBytes);
  if (bytes.length > maxBytes) {
    throw new LambdaError(
      'RequestTooLargeException',
      413,
      `Request must be smaller than ${maxBytes} bytes for the InvokeFunction operation`,
    );
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (text.trim() === '') return '{}';
    refuseDeepJson(text);
    JSON.parse(text);
    return text;
  } catch (error) {
    throw new LambdaError(
      'InvalidRequestContentException',
      400,
      `Could not parse request body into json: ${(error as Error).message}`,
    );
  }
}

/** JSON, of ASCII: it may become a header in the sandbox. */
function clientContextOf(header: string | undefined): string | undefined {
  if (header === undefined || header === '') return undefined;
  const bytes = Buffer.from(header, 'base64');
  if (bytes.length > clientContextMaxBytes)
    throw invalidParameter(`ClientContext: may have ${clientContextMaxBytes} bytes at most`);
  try {
    const text = JSON.stringify(JSON.parse(bytes.toString()));
    return text.replaceAll(
      /[\u007f-\uffff]/g,
      (at) => `\\u${at.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  } catch {
    throw new LambdaError(
      'InvalidRequestContentException',
      400,
      'Client context must be a valid Base64-encoded JSON object.',
    );
  }
}

function wantsLog(c: C): boolean {
  return c.req.header('x-amz-log-type') === 'Tail';
}
