import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import type { Isolation } from '../../../sdk/contract/isolation.ts';

/** Walls that an OCI runtime makes. */
export type OciWall = Exclude<Isolation, 'native'>;

const programs: Record<OciWall, string> = { runc: 'runc', gvisor: 'runsc' };

/** What a wall takes of the node's memory beside the program's own cap (runtime/native/oci.h), bytes. */
export const memoryOverheadBytes: Record<Isolation, number> = {
  native: 0,
  runc: 64 * 1024 * 1024,
  gvisor: 128 * 1024 * 1024,
};

/** Where the launcher looks too (runtime/native/oci-root.c). */
const directories = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin'];

/** The walls that this machine has a runtime for. */
export async function findOciWalls(places: readonly string[] = directories): Promise<OciWall[]> {
  const found: OciWall[] = [];
  for (const [wall, program] of Object.entries(programs)) {
    const tries = places.map((place) => access(join(place, program), constants.X_OK));
    if ((await Promise.allSettled(tries)).some(({ status }) => status === 'fulfilled'))
      found.push(wall as OciWall);
  }
  return found;
}
