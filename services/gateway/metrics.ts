import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { QueueFigures } from '../queue/queue-figures.ts';
import type { ScheduleEnd } from '../schedules/fire.ts';

export interface GatewayMetrics {
  /** A request comes in; to be called with what became of it once its reply begins. */
  begun(): (request: { method: string; route: string; status: number }) => void;
  /** A callback has come to its end. */
  calledBack(status: 'delivered' | 'failed'): void;
  /** A schedule was due here. */
  scheduled(what: ScheduleEnd): void;
  /** In Prometheus's text format. */
  text(readings: Readings): Promise<string>;
}

interface Readings {
  queue: QueueFigures | undefined;
  /** Callbacks that are neither delivered nor failed. */
  callbacksPending: number | undefined;
  isNodeUp: boolean;
}

const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']);

/** Of the queue, which all gateways and workers share: each gateway says the same. */
const queueGauges: readonly (readonly [string, string, (queue: QueueFigures) => number])[] = [
  ['oncebox_queue_waiting', 'Invocations that no worker has taken yet.', ({ waiting }) => waiting],
  ['oncebox_queue_active', 'Invocations that workers have taken and not finished.', ({ active }) => active],
  ['oncebox_queue_delayed', 'Invocations that are to be tried again later.', ({ delayed }) => delayed],
  [
    'oncebox_queue_held',
    'Invocations that wait until fewer of their function or tenant run.',
    ({ held }) => held,
  ],
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

  const callbacks = new Counter({
    name: 'oncebox_callbacks_total',
    help: 'Callbacks that this gateway has delivered, or given up.',
    labelNames: ['status'],
    registers,
  });
  const callbacksPending = new Gauge({
    name: 'oncebox_callbacks_pending',
    help: 'Callbacks that are neither delivered nor failed, also of invocations that go on.',
    registers,
  });
  const schedules = new Counter({
    name: 'oncebox_schedules_total',
    help: 'Times that schedules were due on this gateway: called (fired), called 10 s behind or more (late), not called (missed).',
    labelNames: ['status'],
    registers,
  });
  // So that a rate can be told of the first one.
  for (const status of ['delivered', 'failed']) callbacks.inc({ status }, 0);
  for (const status of ['fired', 'late', 'missed']) schedules.inc({ status }, 0);

  return {
    calledBack: (status) => callbacks.inc({ status }),
    scheduled: (status) => schedules.inc({ status }),
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
    text({ queue, callbacksPending: pending, isNodeUp }) {
      if (pending === undefined) callbacksPending.remove();
      else callbacksPending.set(pending);
      for (const [gauge, read] of ofQueue) {
        if (queue) gauge.set(read(queue));
        else gauge.remove();
      }
      nodeUp.set(isNodeUp ? 1 : 0);
      return registry.metrics();
    },
  };
}
