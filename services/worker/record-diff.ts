import type { Invocation } from '../../sdk/contract/invocation.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';
import { saveFiles } from '../queue/invocation-files.ts';
import { createRedisRoom } from '../queue/redis-room.ts';
import type { Redis } from '../shared/redis.ts';
import { readChanges } from './changes.ts';

type DiffFields = Pick<Invocation, 'changes' | 'changesTruncated' | 'files' | 'diffError'>;

/** Makes the record's part about the writable layer, and keeps the archive where that was asked for. Never rejects. */
export type RecordDiff = (
  id: string,
  diff: boolean | 'archive',
  tar: Uint8Array | undefined,
  tenant?: string,
) => Promise<DiffFields>;

export function createDiffRecorder(options: {
  redis: Redis;
  /** The largest archive that is kept. */
  maxBytes: number;
  keepMs: number;
  /** Runs what keeps so many bytes of a tenant's; throws where its quota has no place for them. Without: no quotas. */
  withinQuota?: <T>(tenant: string, id: string, bytes: number, keep: () => Promise<T>) => Promise<T>;
}): RecordDiff {
  const { redis, maxBytes, keepMs, withinQuota = (_tenant, _id, _bytes, keep) => keep() } = options;
  // The numbers are read again with the next claim.
  const room = createRedisRoom(redis, () => {});
  return async (id, diff, tar, tenant = defaultTenant) => {
    if (diff === false) return {};
    if (tar === undefined)
      return { diffError: 'the writable layer could not be read, or holds more than 192 MiB' };
    const fields: DiffFields = {};
    try {
      const { changes, truncated } = await readChanges(tar);
      fields.changes = changes;
      if (truncated) fields.changesTruncated = true;
      if (diff !== 'archive') return fields;
      if (tar.byteLength > maxBytes) {
        fields.diffError = `the files are not kept: ${tar.byteLength} bytes are more than ONCEBOX_FILES_MAX_BYTES, ${maxBytes}`;
        return fields;
      }
      await room.claimToKeep(tar.byteLength, 'keep the files');
      await withinQuota(tenant, id, tar.byteLength, () => saveFiles(redis, id, tar, keepMs, tenant));
      return { ...fields, files: { sizeBytes: tar.byteLength } };
    } catch (error) {
      return { ...fields, diffError: `cannot read or keep the writable layer: ${(error as Error).message}` };
    }
  };
}
