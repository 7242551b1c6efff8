import type { Isolation } from '../../sdk/contract/isolation.ts';
import type { NodeDirectory } from '../queue/node-directory.ts';
import { PlatformError } from '../shared/platform-error.ts';

/** What makes each wall, where that is not ourselves. */
const runtimes: Record<Exclude<Isolation, 'native'>, string> = { runc: 'runc', gvisor: 'runsc' };

/**
 * Throws PlatformError `unsupported` unless every node has the wall: any of them may take the job. Before anything is
 * enqueued.
 */
export async function requireIsolation(
  directory: NodeDirectory,
  isolation: Isolation = 'native',
): Promise<void> {
  if (isolation === 'native') return;
  const nodes = await directory.nodes();
  const without = nodes.filter(({ isolations }) => !isolations.includes(isolation)).map(({ node }) => node);
  // With no node at all the job waits for one, as any.
  if (without.length === 0) return;
  throw new PlatformError(
    'unsupported',
    `isolation "${isolation}" needs ${runtimes[isolation]} on every node: install it on ${without.join(', ')} and start oncebox again`,
    { field: 'isolation' },
  );
}
