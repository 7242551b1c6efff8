import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { QueueFigures } from '../queue/queue-figures.ts';

export interface GatewayMetrics {
  /** A request comes in; to be called with what became of it once its reply begins. */
  begun(): (request: { method: string; route: string; status: number }) => void;
  /** In Prometheus's text format. */
  text(readings: { queue: QueueFigures | undefined; isNodeUp: boolean }): Promise<string>;
}

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']);

/** Of the queue, which all gateways and workers share: each gateway says the same. */
const queueGauges: readonly (readonly [string, string, (queue: QueueFigures) => number])[] = [
  ['oncebox_queue_waiting', 'Invocations that no worker has taken yet.', ({ waiting }) => waiting],
  ['oncebox_queue_active', 'Invocations that workers have taken and not finished.', ({ active }) => active],
  ['oncebox_queue_delayed', 'Invocations that are to be tried again later.', ({ delayed }) => delayed],
  [
    'oncebox_queue_oldest_waiting_seconds',
    'For how long the invocation that waits longest has; 0 when none waits.',
    ({ oldestWaitingMs }) => oldestWaitingMs / 1000,
  ],
  ['oncebox_dead_letters', 'Dead letters that are kept, of all tenants.', ({ deadLetters }) => deadLetters],
];

/** The gateway's own figures. Labels come from closed sets: a client cannot make new ones. */
export function createGatewayMetrics(): GatewayMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'oncebox_gateway_' });
  const requests = new Counter({
    name: 'oncebox_http_requests_total',
    help: 'Requests answered, by route and status.',
    labelNames: ['method', 'route', 'status'],
    registers,
  });
  const duration = new Histogram({
    name: 'oncebox_http_request_duration_seconds',
    help: 'From the request until its reply begins.',
    labelNames: ['method', 'route'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const underWay = new Gauge({
    name: 'oncebox_http_requests_in_flight',
    help: 'Requests whose reply has not begun.',
    registers,
  });
  const ofQueue = queueGauges.map(
    ([name, help, read]) => [new Gauge({ name, help, registers }), read] as const,
  );
  const nodeUp = new Gauge({
    name: 'oncebox_node_up',
    help: "1 if the node on this gateway's machine answers; its figures are below then.",
    registers,
  });

  return {
    begun() {
      underWay.inc();
      const from = performance.now();
      return ({ method, route, status }) => {
        underWay.dec();
        const labels = { method: knownMethods.has(method) ? method : 'other', route };
        requests.inc({ ...labels, status });
        duration.observe(labels, (performance.now() - from) / 1000);
      };
    },
    text({ queue, isNodeUp }) {
      for (const [gauge, read] of ofQueue) {
        if (queue) gauge.set(read(queue));
        else gauge.remove();
      }
      nodeUp.set(isNodeUp ? 1 : 0);
      return registry.metrics();
    },
  };
}
