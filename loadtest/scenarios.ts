import type { Scenario } from './scenario.ts';
import { burst } from './scenarios/burst.ts';
import { cold } from './scenarios/cold.ts';
import { density } from './scenarios/density.ts';
import { fork } from './scenarios/fork.ts';
import { mixed } from './scenarios/mixed.ts';
import { ramp } from './scenarios/ramp.ts';
import { soak } from './scenarios/soak.ts';
import { warm } from './scenarios/warm.ts';

/** In the order in which they run; the longest is last. */
export const scenarios: readonly Scenario[] = [warm, fork, cold, burst, ramp, mixed, density, soak];
