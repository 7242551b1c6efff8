import { Hono } from 'hono';
import { scheduleIdSchema, scheduleRequestSchema } from '../../../sdk/contract/schedule.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { findFunction } from '../function-request.ts';
import { readJson, wellFormed } from '../read-body.ts';

/** `PUT`, `GET` and `DELETE /v1/schedules/:id`, `GET /v1/schedules`: calls of functions at their times. */
export function scheduleRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  const { schedules, config } = deps;

  return new Hono<GatewayEnv>()
    .put('/schedules/:id', async (c) => {
      const id = parseId(c.req.param('id'));
      const { text, value } = await readJson(c, config.ONCEBOX_BODY_MAX_BYTES, { data: ['event'] });
      const request = scheduleRequestSchema.parse(wellFormed(value, text));
      // A function may go later; one that never was is a slip of the pen.
      await findFunction(deps, request.function, c.get('tenant'));
      const { schedule, created } = await schedules.put(c.get('tenant'), id, request);
      return c.json(schedule, created ? 201 : 200);
    })
    .get('/schedules', async (c) => c.json({ schedules: await schedules.list(c.get('tenant')) }))
    .get('/schedules/:id', async (c) => c.json(await schedules.get(c.get('tenant'), c.req.param('id'))))
    .delete('/schedules/:id', async (c) => {
      await schedules.delete(c.get('tenant'), c.req.param('id'));
      return c.body(null, 204);
    });
}

function parseId(id: string): string {
  const parsed = scheduleIdSchema.safeParse(id);
  if (parsed.success) return parsed.data;
  throw new PlatformError('invalid_request', `the schedule's id ${parsed.error.issues[0]?.message}`, {
    field: 'id',
  });
}
