import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const recordSchema = z.object({ images: z.record(z.string(), z.string()) });

/**
 * Digests of the images that set-up built, by name. Their interpreters are trusted to be zygotes of zones that see every
 * layer, so it is not left to a name, which anybody may tag anew. Empty for a store that set-up did not make.
 */
export async function readBaseImages(storeDir: string): Promise<ReadonlyMap<string, string>> {
  try {
    const record = recordSchema.parse(JSON.parse(await readFile(join(storeDir, 'base-images.json'), 'utf8')));
    return new Map(Object.entries(record.images));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw new Error(`cannot read base-images.json in ${storeDir}: run "npm run setup"`, { cause: error });
  }
}
