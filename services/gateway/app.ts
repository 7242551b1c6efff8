import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { routePath } from 'hono/route';
import { wallClockMs } from '../shared/wall-clock.ts';
import type { GatewayDeps, GatewayEnv } from './deps.ts';
import { createGatewayMetrics } from './metrics.ts';
import { allowOrigins } from './middleware/allow-origins.ts';
import { authenticate } from './middleware/authenticate.ts';
import { onError } from './middleware/on-error.ts';
import { onNotFound } from './middleware/on-not-found.ts';
import { limitRate } from './middleware/rate-limit.ts';
import { requireScope } from './middleware/require-scope.ts';
import { aliasRoutes } from './routes/aliases.ts';
import { batchRoutes } from './routes/batch.ts';
import { callbackRoutes } from './routes/callbacks.ts';
import { functionRoutes } from './routes/functions.ts';
import { healthRoutes } from './routes/health.ts';
import { imageRoutes } from './routes/images.ts';
import { invocationRoutes } from './routes/invocations.ts';
import { invokeRoutes } from './routes/invoke.ts';
import { keyRoutes } from './routes/keys.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { openApiRoutes } from './routes/openapi.ts';
import { runRoutes } from './routes/run.ts';
import { scheduleRoutes } from './routes/schedules.ts';
import { tenantRoutes } from './routes/tenants.ts';
import { versionRoutes } from './routes/versions.ts';

/** The HTTP surface. Holds no state: all of it is in what is passed in. */
export function createApp(deps: GatewayDeps): Hono<GatewayEnv> {
  const app = new Hono<GatewayEnv>();
  const metrics = createGatewayMetrics();
  app.use(async (c, next) => {
    const requestId = randomUUID();
    c.set('receivedAtMs', wallClockMs());
    c.set('logger', deps.logger.child({ requestId }));
    c.header('oncebox-request-id', requestId);
    const answered = metrics.begun();
    await next();
    // Of what no route takes, the last that matches is this very function.
    const route = routePath(c, -1);
    answered({ method: c.req.method, route: route === '/*' ? 'none' : route, status: c.res.status });
  });
  const { ONCEBOX_CORS_ORIGINS: origins } = deps.config;
  // Before whoever asks for a key: the browser's own question has none.
  if (origins !== '') app.use(allowOrigins(origins));
  const { authenticator } = deps.tenancy;
  app.use(authenticate(authenticator));
  app.use(limitRate(deps.tenancy));
  if (authenticator) app.use(requireScope());
  app.route('/', healthRoutes(deps));
  app.route('/', metricsRoutes(deps, metrics));
  app.route('/', openApiRoutes(deps));
  app.route('/v1', runRoutes(deps));
  app.route('/v1', functionRoutes(deps));
  app.route('/v1', aliasRoutes(deps));
  app.route('/v1', versionRoutes(deps));
  app.route('/v1', invokeRoutes(deps));
  app.route('/v1', batchRoutes(deps));
  app.route('/v1', scheduleRoutes(deps));
  app.route('/v1', callbackRoutes(deps));
  app.route('/v1', invocationRoutes(deps));
  app.route('/v1', nodeRoutes(deps));
  app.route('/v1', imageRoutes(deps));
  app.route('/v1', keyRoutes(deps));
  app.route('/v1', tenantRoutes(deps));
  app.notFound((c) => onNotFound(c, app.routes));
  app.onError(onError);
  return app;
}
