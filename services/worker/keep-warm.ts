import { z } from 'zod';
import type { SandboxSource } from '../../runtime/pool/sandbox-source.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import { resolveLimits } from '../gateway/resolve-limits.ts';
import { countNodes } from '../queue/node-directory.ts';
import { functionProgram } from '../registry/function-program.ts';
import type { KeptFunction, Registry } from '../registry/registry.ts';
import type { Redis } from '../shared/redis.ts';
import type { PrepareJob } from './prepare-job.ts';
import { shareKept } from './share-kept.ts';

/** How often it is looked what is to be kept; less often where looking takes long, milliseconds. */
const everyMs = 1_000;
const shareOfTime = 1 / 20;

/** Of what the registry keeps for a function, tolerantly. */
const settingsSchema = z
  .object({ keepWarm: z.number().int().min(0).catch(0).default(0) })
  .catch({ keepWarm: 0 });

/**
 * Has sandboxes of functions parked that ask for it (`keepWarm`), each node its part of them: those of the version that is
 * current and of those that aliases point at, from the start of the worker on. What changes is found by looking, so nothing that is missed stays so.
 */
export function openKeepWarm(options: {
  redis: Redis;
  registry: Pick<Registry, 'kept'>;
  source: Pick<SandboxSource, 'keepWarm'>;
  /** Without secrets: they come with a run. */
  prepare: PrepareJob;
  /** What of all tenants together is kept here: each may ask for more than the node has memory for. */
  places: number;
  defaults: Limits;
  maxima: Limits;
  onError: (error: unknown) => void;
}): { close(): void } {
  const { redis, registry, source, prepare, places, onError } = options;
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  /** Whether there was something to keep: else nothing need be told. */
  let hasKept = false;

  async function look(): Promise<void> {
    const found = await registry.kept((settings) => settingsSchema.parse(settings).keepWarm);
    if (found.length === 0 && !hasKept) return;
    const nodes = Math.max(1, await countNodes(redis));
    const wanted = [];
    const parts = found.map((kept) => ({ ...kept, count: Math.ceil(kept.count / nodes) }));
    for (const kept of shareKept(parts, places)) {
      try {
        const { request } = await prepare(jobOf(kept, options));
        wanted.push({ request, count: kept.count });
      } catch (error) {
        // Its image or its layer is not to be had; others are kept all the same.
        onError(error);
      }
    }
    if (isClosed) return;
    hasKept = found.length > 0;
    source.keepWarm(wanted);
  }

  async function loop(): Promise<void> {
    const startedAtMs = performance.now();
    await look().catch(onError);
    if (isClosed) return;
    timer = setTimeout(loop, Math.max(everyMs, (performance.now() - startedAtMs) / shareOfTime)).unref();
  }
  void loop();

  return {
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}

/** What a call of it would be, as far as that decides the sandbox. */
function jobOf(
  { tenant, found }: KeptFunction,
  { defaults, maxima }: { defaults: Limits; maxima: Limits },
): Parameters<PrepareJob>[0] {
  const { name, version, digest, runtime, image, user, codeLayer, zygote, isolation, secrets } = found;
  const limits = resolveLimits(found.limits, { defaults, maxima });
  const { memoryBytes } = limits;
  return {
    tenant,
    runtime,
    image,
    user,
    codeLayer,
    function: { name, version, digest },
    ...(zygote === false && { zygote }),
    ...(secrets && { secrets }),
    ...functionProgram(found, {
      eventJson: 'null',
      context: { invocationId: '', functionName: name, deadlineMs: 0, memoryBytes },
    }),
    stdin: '',
    limits,
    isolation,
    replyTo: '',
  };
}
