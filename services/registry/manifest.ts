import { createHash } from 'node:crypto';
import type { FunctionVersion } from '../../sdk/contract/function.ts';

type Manifest = Pick<FunctionVersion, 'runtime' | 'codeLayer' | 'handler' | 'env' | 'limits'>;

/** Digest of all that makes a version what it is. Keys are sorted, so that the order they came in changes nothing. */
export function manifestDigest({ runtime, codeLayer, handler, env, limits }: Manifest): string {
  const canonical = JSON.stringify({
    schemaVersion: 1,
    runtime,
    layers: [`sha256:${codeLayer}`],
    handler,
    env: sortedEntries(env),
    limits: sortedEntries(limits),
  });
  return `sha256:${createHash('sha256').update(canonical).digest('hex')}`;
}

function sortedEntries(record: Record<string, unknown>): [string, unknown][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
