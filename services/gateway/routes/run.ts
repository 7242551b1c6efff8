import { posix } from 'node:path';
import { Hono } from 'hono';
import type { Program } from '../../../sdk/contract/program.ts';
import { type ParsedRunRequest, runRequestSchema } from '../../../sdk/contract/run-request.ts';
import type { RuntimeName } from '../../../sdk/contract/runtime-name.ts';
import type { CataloguedImage } from '../../queue/image-catalogue.ts';
import { newInvocationId } from '../../queue/invocation-id.ts';
import type { InvocationRequest } from '../../queue/invocation-queue.ts';
import { envOf } from '../../registry/function-image.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { dispatch, followEvents } from '../dispatch.ts';
import { imageCommand } from '../image-command.ts';
import { languageRun } from '../language-run.ts';
import { readJson, wellFormed } from '../read-body.ts';
import { requireIsolation } from '../require-isolation.ts';
import { resolveLimits } from '../resolve-limits.ts';

/** `POST /v1/run`: runs a snippet, a program of a language or an image; 200 with the record whatever that did. */
export function runRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  const {
    ONCEBOX_BODY_MAX_BYTES,
    ONCEBOX_DEFAULT_LIMITS: defaults,
    ONCEBOX_MAX_LIMITS: maxima,
  } = deps.config;
  const requestSchema = runRequestSchema(maxima);

  return new Hono<GatewayEnv>().post('/run', async (c) => {
    const { text, value } = await readJson(c, ONCEBOX_BODY_MAX_BYTES);
    const request = requestSchema.parse(wellFormed(value, text));
    await requireIsolation(deps.directory, request.isolation);
    const { language, stdin, interactive, diff } = request;
    const image = request.image === undefined ? undefined : await deps.catalogue.resolve(request.image);
    const limits = resolveLimits(request.limits, { defaults, maxima });
    return dispatch(
      c,
      deps,
      newInvocationId(),
      {
        ...(language === undefined
          ? { ...whatToRun(request, image), limits }
          : await languageRun(deps, { ...request, language })),
        stdin,
        ...(interactive && { interactive }),
        diff,
        isolation: request.isolation,
      },
      (invocation) => ({ status: 200, body: invocation }),
      interactive ? { follow: followEvents } : undefined,
    );
  });
}

type WhatToRun = Pick<InvocationRequest, 'runtime' | 'image' | 'user' | 'workingDir' | 'program'>;

function whatToRun(request: ParsedRunRequest, found: CataloguedImage | undefined): WhatToRun {
  const { runtime } = request;
  if (!found) return { runtime, program: snippet(request, {}) };
  const { reference, digest, config } = found;
  const image = { reference, digest };
  if (runtime !== undefined) {
    const program = snippet(request, envOf(config.Env));
    return { runtime, image, program, ...(config.User && { user: config.User }) };
  }
  return {
    image,
    program: imageCommand(request, config),
    user: request.user ?? config.User ?? '',
    workingDir: request.workdir ?? posix.resolve('/', config.WorkingDir || '/'),
  };
}

/** Node finds out by the syntax whether `index.js` is an ES module or CommonJS. */
const codeFileNames: Record<RuntimeName, string> = { node: 'index.js', python: 'main.py', bash: 'main.sh' };

function snippet(request: ParsedRunRequest, imageEnv: Record<string, string>): Program {
  const { runtime = 'bash', code, files, entry, args = [], env } = request;
  const given = files ?? [{ path: codeFileNames[runtime], content: code ?? '', encoding: 'utf8' as const }];
  return {
    kind: 'snippet',
    files: given,
    entry: entry ?? given[0]?.path ?? '',
    args,
    env: { ...imageEnv, ...env },
  };
}
