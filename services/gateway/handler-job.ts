import type { InvocationRequest } from '../queue/invocation-queue.ts';
import type { ResolvedFunction } from '../registry/registry.ts';
import type { GatewayDeps } from './deps.ts';
import { resolveLimits } from './resolve-limits.ts';

export interface HandlerCall {
  /** Of the invocation. */
  id: string;
  eventJson: string;
  /** The event is an HTTP request. */
  http?: boolean;
  diff: InvocationRequest['diff'];
}

/** The job of one call of a function's version. */
export function handlerJob(
  { config }: Pick<GatewayDeps, 'config'>,
  found: ResolvedFunction,
  { id, eventJson, http = false, diff }: HandlerCall,
): Omit<InvocationRequest, 'tenant'> {
  const { name, version, digest, runtime, handler, programEnv, user, image, codeLayer, zygote, isolation } =
    found;
  const limits = resolveLimits(found.limits, {
    defaults: config.ONCEBOX_DEFAULT_LIMITS,
    maxima: config.ONCEBOX_MAX_LIMITS,
  });
  return {
    runtime,
    image,
    user,
    codeLayer,
    function: { name, version, digest },
    imageDigest: digest,
    ...(zygote === false && { zygote }),
    program: {
      kind: 'handler',
      handler,
      eventJson,
      ...(http && { http }),
      context: {
        invocationId: id,
        functionName: name,
        functionVersion: version,
        // Without the time in the queue; the worker, which knows it, may set it anew.
        deadlineMs: Date.now() + limits.wallMs,
      },
      env: programEnv,
    },
    stdin: '',
    limits,
    diff,
    isolation,
  };
}
