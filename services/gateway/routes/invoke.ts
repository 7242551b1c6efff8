import { Hono } from 'hono';
import { type ErrorBody, type ErrorCode, errorStatus } from '../../../sdk/contract/error.ts';
import { type Invocation, invokeQuerySchema } from '../../../sdk/contract/invocation.ts';
import type { Outcome } from '../../../sdk/contract/outcome.ts';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { dispatch, type Reply } from '../dispatch.ts';
import { findFunction } from '../function-request.ts';
import type { RawReply } from '../http-response.ts';
import { readJson } from '../read-body.ts';
import { resultText } from '../result-text.ts';

/** `POST /v1/functions/:ref/invoke`: the body is the event, the reply what the handler returned. */
export function invokeRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  return new Hono<GatewayEnv>().post('/functions/:ref/invoke', async (c) => {
    // Before the body is read, and before anything is enqueued.
    const called = await findFunction(deps, c.req.param('ref'), c.get('tenant'));
    c.header('oncebox-function-version', String(called.version));
    const { diff } = invokeQuerySchema.parse(c.req.query());
    const { text } = await readJson(c, deps.config.ONCEBOX_BODY_MAX_BYTES, { data: 'all' });
    const id = newInvocationId();
    return dispatch(c, deps, id, called.request(id, text === '' ? 'null' : text, { diff }), handlerReply);
  });
}

function handlerReply(invocation: Invocation): Reply | RawReply {
  const { outcome } = invocation;
  if (outcome?.status !== 'ok') return failureReply(invocation);
  const headers = new Headers({ 'content-type': 'application/json' });
  return { status: 200, headers, raw: resultText(outcome) };
}

/** The reply to who waited for a handler that did not end `ok`. */
export function failureReply({ id, outcome }: Invocation): Reply {
  const failed: FailedOutcome =
    outcome === undefined || outcome.status === 'ok'
      ? { status: 'lost', reason: 'the record has no outcome' }
      : outcome;
  const code: ErrorCode = failed.status;
  const body: ErrorBody = {
    error: { code, message: failureMessage(failed), invocationId: id, outcome: failed },
  };
  return { status: errorStatus[code], body };
}

type FailedOutcome = Exclude<Outcome, { status: 'ok' }>;

function failureMessage(outcome: FailedOutcome): string {
  switch (outcome.status) {
    case 'function_error':
      return `${outcome.name}: ${outcome.message}`;
    case 'exited':
      return `the process exited with code ${outcome.exitCode} before the handler returned`;
    case 'signaled':
      return `the process was ended by ${outcome.signal}`;
    case 'timeout':
      return `the ${outcome.limit} time limit of ${outcome.ms} ms passed`;
    case 'oom_killed':
      return `more memory was needed than the limit of ${outcome.memoryMaxBytes} bytes`;
    case 'limit_exceeded':
      return `the ${outcome.limit} limit of ${outcome.max} was exceeded`;
    case 'compile_failed':
      return 'its source does not compile';
    case 'cancelled':
      return 'the invocation was cancelled';
    case 'lost':
      return `the platform lost the invocation: ${outcome.reason}`;
  }
}
