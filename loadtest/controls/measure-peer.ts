import { rateWithin, serialLatency } from '../floors/timing.ts';
import type { Control } from '../report/schema.ts';
import { spreadOf } from '../report/statistics.ts';
import type { Peer } from './peer.ts';
import { reasonOf } from './presence.ts';

export interface PeerBounds {
  serialCount: number;
  rateMaxCount: number;
  rateMaxMs: number;
  inFlight: number;
}

/** Not timed: files into the page cache, and a daemon past its first container. */
const warmUpCount = 2;

/**
 * Measures a peer if it is there, works, and answers with `stdout` every time; otherwise says why not. Nothing of it is
 * left when this settles. Never rejects.
 */
export async function measurePeer(peer: Peer, stdout: string, bounds: PeerBounds): Promise<Control> {
  const { name } = peer;
  const presence = await peer.probe();
  if (!presence.available) return { name, ...presence };
  const { version } = presence;

  async function checkedOnce() {
    const answer = await peer.once();
    if (answer !== stdout) {
      throw new Error(`answered ${JSON.stringify(answer.slice(0, 200))}, not ${JSON.stringify(stdout)}`);
    }
  }
  try {
    await peer.prepare();
    for (let i = 0; i < warmUpCount; i++) await checkedOnce();
    const samples = await serialLatency(bounds.serialCount, checkedOnce);
    const { inFlight, rateMaxCount: maxCount, rateMaxMs: maxMs } = bounds;
    const ratePerSecond = await rateWithin({ inFlight, maxCount, maxMs }, checkedOnce);
    return {
      name,
      version,
      available: true,
      latencyMs: spreadOf(samples),
      ratePerSecond,
      concurrency: inFlight,
    };
  } catch (error) {
    return { name, version, available: false, reason: `is installed and not usable: ${reasonOf(error)}` };
  } finally {
    await peer.undo();
  }
}
