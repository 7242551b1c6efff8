import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { routePath } from 'hono/route';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import { noTracing } from '../telemetry/tracing.ts';
import type { GatewayDeps, GatewayEnv } from './deps.ts';
import { createGatewayMetrics } from './metrics.ts';
import { onError } from './middleware/on-error.ts';
import { onNotFound } from './middleware/on-not-found.ts';
import { functionRoutes } from './routes/functions.ts';
import { healthRoutes } from './routes/health.ts';
import { imageRoutes } from './routes/images.ts';
import { invocationRoutes } from './routes/invocations.ts';
import { invokeRoutes } from './routes/invoke.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { openApiRoutes } from './routes/openapi.ts';
import { referenceRoutes } from './routes/reference.ts';
import { runRoutes } from './routes/run.ts';
import { endRequestSpan, startRequestSpan, traceOf } from './trace-request.ts';

/** The HTTP surface. Holds no state: all of it is in what is passed in. */
export function createApp(deps: GatewayDeps): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  const metrics = createGatewayMetrics();
  app.use(async (c, next) => {
    const requestId = randomUUID();
    c.set('receivedAtMs', wallClockMs());
    c.set('tenant', defaultTenant);
    const span = startRequestSpan(deps.tracing ?? noTracing, c.req);
    c.set('requestId', requestId);
    c.set('span', span);
    c.set('logger', deps.logger.child({ requestId, ...traceOf(span) }));
    c.header('oncebox-request-id', requestId);
    const answered = metrics.begun();
    await next();
    // Of what no route takes, the last that matches is this very function.
    const route = routePath(c, -1);
    answered({ method: c.req.method, route: route === '/*' ? 'none' : route, status: c.res.status });
    endRequestSpan(span, { method: c.req.method, route, status: c.res.status });
  });
  app.route('/', healthRoutes(deps));
  app.route('/', metricsRoutes(deps, metrics));
  app.route('/', openApiRoutes(deps));
  app.route('/', referenceRoutes());
  app.route('/v1', runRoutes(deps));
  app.route('/v1', functionRoutes(deps));
  app.route('/v1', invokeRoutes(deps));
  app.route('/v1', invocationRoutes(deps));
  app.route('/v1', nodeRoutes(deps));
  app.route('/v1', imageRoutes(deps));
  app.notFound((c) => onNotFound(c, app.routes));
  app.onError(onError);
  return app;
}
