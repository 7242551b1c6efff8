import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { lookAtCgroups } from './cgroups.ts';
import type { Feature, FeatureGroup } from './feature.ts';
import { lookAtHardening } from './hardening.ts';
import { tryKernel } from './kernel-tries.ts';
import { lookAtMachine } from './machine.ts';
import { lookAtTools } from './tools.ts';

export interface FeatureReport {
  /** Nothing that is required is missing; what could not be seen is not counted. */
  canRun: boolean;
  features: Feature[];
}

const order: Record<FeatureGroup, number> = { required: 0, better: 1, isolation: 2 };

/** Looks at everything that oncebox uses, trying what can be tried. Leaves nothing behind. */
export async function lookAtFeatures(dataDir: string): Promise<FeatureReport> {
  const directory = await nearestExisting(dataDir);
  const found = await Promise.all([
    lookAtMachine(directory),
    lookAtCgroups(),
    tryKernel(directory),
    lookAtTools(),
    lookAtHardening(),
  ]);
  const features = found.flat().sort((a, b) => order[a.group] - order[b.group]);
  const canRun = !features.some(({ group, state }) => group === 'required' && state === 'missing');
  return { canRun, features };
}

/** Before the first start there is no data directory. */
async function nearestExisting(path: string): Promise<string> {
  const isThere = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  return isThere || path === '/' ? path : nearestExisting(dirname(path));
}
