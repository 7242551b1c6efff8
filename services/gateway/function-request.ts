import type { InvocationRequest } from '../queue/invocation-queue.ts';
import { functionProgram } from '../registry/function-program.ts';
import type { GatewayDeps } from './deps.ts';
import { requireIsolation } from './require-isolation.ts';
import { resolveLimits } from './resolve-limits.ts';

type FunctionRequest = Omit<InvocationRequest, 'tenant'>;

interface CallOptions {
  diff?: InvocationRequest['diff'];
  http?: boolean;
  /** As the caller named the function; its name and version unless given. */
  invokedFunctionArn?: string;
  /** What the caller is told that was called; the version's number unless given. */
  functionVersion?: string;
  /** JSON, for the context of Lambda's handlers. */
  clientContext?: string | undefined;
}

/** The version that a call runs, as it was when the call came: all calls of a batch run the same. */
export interface CallableFunction {
  readonly version: number;
  /** Whether its event may be an HTTP request. */
  readonly takesHttp: boolean;
  /** What is enqueued to call it with this event, which is JSON; with `http` it is a request. */
  request(id: string, eventJson: string, options?: CallOptions): FunctionRequest;
}

/** Throws `function_not_found`, and `unsupported` where a node lacks the wall that the version asks for. */
export async function findFunction(
  { config, directory, registry }: Pick<GatewayDeps, 'config' | 'directory' | 'registry'>,
  reference: string,
  tenant: string,
): Promise<CallableFunction> {
  const found = await registry.resolve(reference, tenant);
  const { name, version, digest, runtime, user, image, codeLayer, zygote, secrets } = found;
  await requireIsolation(directory, found.isolation);
  const { ONCEBOX_DEFAULT_LIMITS: defaults, ONCEBOX_MAX_LIMITS: maxima } = config;
  const limits = resolveLimits(found.limits, { defaults, maxima });
  return {
    version,
    takesHttp: found.protocol === undefined,
    request: (id, eventJson, { diff = false, http = false, ...asCalled } = {}) => ({
      runtime,
      image,
      user,
      codeLayer,
      function: { name, version, digest },
      reference,
      imageDigest: digest,
      ...(zygote === false && { zygote }),
      ...(secrets && { secrets }),
      ...functionProgram(found, {
        eventJson,
        http,
        context: {
          invocationId: id,
          functionName: name,
          // Without the time in the queue; the worker, which knows it, may set it anew.
          deadlineMs: Date.now() + limits.wallMs,
          memoryBytes: limits.memoryBytes,
          ...asCalled,
        },
      }),
      stdin: '',
      limits,
      diff,
      isolation: found.isolation,
    }),
  };
}
