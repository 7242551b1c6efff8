import type { ScheduledCall } from '../schedules/fire.ts';
import { wallClockMs } from '../shared/wall-clock.ts';
import { accept } from './accept.ts';
import type { GatewayDeps } from './deps.ts';
import { findFunction } from './function-request.ts';

/** Enqueues what a schedule calls, as a request of its tenant would. */
export async function callScheduled(
  deps: Pick<GatewayDeps, 'config' | 'directory' | 'registry' | 'queue' | 'callbacks'>,
  { tenant, id, function: reference, eventJson, priority }: ScheduledCall,
): Promise<void> {
  const called = await findFunction(deps, reference, tenant);
  const receivedAtMs = wallClockMs();
  await accept(deps, id, { ...called.request(id, eventJson), ...{ priority }, tenant, receivedAtMs });
}
