import { type Labels, labelsMax } from '../../sdk/contract/labels.ts';
import { PlatformError } from '../shared/platform-error.ts';
import type { Redis } from '../shared/redis.ts';
import { functionNotFound, tenantKeys } from './keys.ts';
import { putLabelsScript } from './scripts.ts';

/** Labels that are put on what is there already: they change nothing of a version but how it is shown. */
export interface LabelStore {
  /**
   * Sets labels of a function, or of one of its versions; null takes one away. All of them or none: throws
   * `function_not_found`, `version_not_found`, or `invalid_request` for more than there may be.
   */
  putLabels(
    target: { name: string; version?: number; tenant?: string },
    changes: Readonly<Record<string, string | null>>,
  ): Promise<void>;
}

export function createLabelStore(redis: Redis): LabelStore {
  return {
    async putLabels({ name, version, tenant }, changes) {
      const pairs = Object.entries(changes).flatMap(([label, value]) => [
        label,
        value ?? '',
        value === null ? 0 : 1,
      ]);
      const key = tenantKeys(tenant).function(name);
      const done = await redis.eval(putLabelsScript, 1, key, version ?? '', labelsMax, ...pairs);
      if (done === 'function') throw functionNotFound(name);
      if (done === 'version')
        throw new PlatformError(
          'version_not_found',
          `there is no version ${version} of the function "${name}"`,
        );
      if (done === 'full')
        throw new PlatformError('invalid_request', `labels: may be ${labelsMax} at most`, {
          field: 'labels',
        });
    },
  };
}

/** Where a function's hash has a label of the function, or one that was put on a version. */
export function labelField(label: string, version: number | '' = ''): string {
  return `label:${version}:${label}`;
}

/** Of a function's hash: those of the function, or those that were put on a version. */
export function labelsIn(fields: Record<string, string>, version: number | '' = ''): Labels {
  const prefix = labelField('', version);
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([field]) => field.startsWith(prefix))
      .map(([field, value]) => [field.slice(prefix.length), value]),
  );
}
