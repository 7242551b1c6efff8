import type { Context } from 'hono';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { targetOf } from './function-name.ts';
import { readRequest } from './read.ts';
import { concurrencySchema } from './requests.ts';

/** Reserved concurrency is `concurrency` in the function's settings. */
export function concurrencyOperations({ config, registry, directory }: GatewayDeps) {
  return {
    async put(c: Context<GatewayEnv>) {
      const { name } = targetOf(c);
      const { ReservedConcurrentExecutions: concurrency } = await readRequest(
        c,
        concurrencySchema,
        config.ONCEBOX_BODY_MAX_BYTES,
      );
      const settings = await registry.getSettings(name, c.get('tenant'));
      await registry.putSettings(name, { ...settings, concurrency }, c.get('tenant'));
      return c.json({ ReservedConcurrentExecutions: concurrency });
    },
    async get(c: Context<GatewayEnv>) {
      const { concurrency } = await registry.getSettings(targetOf(c).name, c.get('tenant'));
      return c.json(concurrency === undefined ? {} : { ReservedConcurrentExecutions: concurrency });
    },
    async delete(c: Context<GatewayEnv>) {
      const { name } = targetOf(c);
      const { concurrency: _, ...settings } = await registry.getSettings(name, c.get('tenant'));
      await registry.putSettings(name, settings, c.get('tenant'));
      return c.body(null, 204);
    },
    async account(c: Context<GatewayEnv>) {
      const functions = await registry.list(c.get('tenant'));
      const nodes = await directory.nodes();
      const concurrency = nodes.reduce((sum, node) => sum + node.concurrency, 0);
      const { ONCEBOX_BODY_MAX_BYTES: bodyMaxBytes } = config;
      return c.json({
        AccountLimit: {
          // There is no bound on all of it but what Redis holds.
          TotalCodeSize: Number.MAX_SAFE_INTEGER,
          CodeSizeUnzipped: 5 * bodyMaxBytes,
          CodeSizeZipped: Math.floor((bodyMaxBytes * 3) / 4),
          ConcurrentExecutions: concurrency,
          UnreservedConcurrentExecutions: concurrency,
        },
        AccountUsage: {
          TotalCodeSize: functions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
          FunctionCount: functions.length,
        },
      });
    },
  };
}
