import { Hono } from 'hono';
import type { Program } from '../../../sdk/contract/program.ts';
import { type ParsedRunRequest, runRequestSchema } from '../../../sdk/contract/run-request.ts';
import type { RuntimeName } from '../../../sdk/contract/runtime-name.ts';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { dispatch } from '../dispatch.ts';
import { readJson } from '../read-body.ts';
import { resolveLimits } from '../resolve-limits.ts';

/** `POST /v1/run`: runs a snippet; 200 with the record whatever the code did. */
export function runRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  const {
    ONCEBOX_BODY_MAX_BYTES,
    ONCEBOX_DEFAULT_LIMITS: defaults,
    ONCEBOX_MAX_LIMITS: maxima,
  } = deps.config;
  const requestSchema = runRequestSchema(maxima);

  return new Hono<GatewayEnv>().post('/run', async (c) => {
    const { value } = await readJson(c, ONCEBOX_BODY_MAX_BYTES);
    const request = requestSchema.parse(value);
    return dispatch(
      c,
      deps,
      newInvocationId(),
      {
        runtime: request.runtime,
        program: snippet(request),
        stdin: request.stdin,
        limits: resolveLimits(request.limits, { defaults, maxima }),
      },
      (invocation) => ({ status: 200, body: invocation }),
    );
  });
}

/** Node finds out by the syntax whether `index.js` is an ES module or CommonJS. */
const codeFileNames: Record<RuntimeName, string> = { node: 'index.js', python: 'main.py', bash: 'main.sh' };

function snippet({ runtime, code, files, entry, args, env }: ParsedRunRequest): Program {
  const given = files ?? [{ path: codeFileNames[runtime], content: code ?? '', encoding: 'utf8' as const }];
  return { kind: 'snippet', files: given, entry: entry ?? given[0]?.path ?? '', args, env };
}
