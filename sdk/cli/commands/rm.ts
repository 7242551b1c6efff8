import { Command } from 'commander';
import type { ImageRemoval } from '../../contract/image.ts';
import { explain } from '../cli-error.ts';
import { size } from '../format.ts';
import type { Session } from '../session.ts';

export const rmCommand = (session: Session) =>
  new Command('rm')
    .alias('rmi')
    .description('remove images, or names of images')
    .argument('<references...>')
    .option('-f, --force', 'also while sandboxes stand on them: waits for those and lets no new ones start')
    .action(async (references: string[], { force = false }: { force?: boolean }) => {
      const removals: ImageRemoval[] = [];
      for (const reference of references) {
        try {
          removals.push(await session.client.removeImage(reference, { force, ...session.signal }));
        } catch (error) {
          // The others are removed all the same, as with rm(1).
          const known = explain(error, session.url);
          if (!known || session.io.signal.aborted || references.length === 1) throw error;
          session.note(`oncebox: ${known.message}`);
          session.exitCode = known.exitCode;
        }
      }
      session.print(removals, () =>
        removals
          .flatMap(({ untagged, deleted, freedBytes }) => [
            ...untagged.map((reference) => `untagged ${reference}`),
            ...deleted.map((digest) => `deleted ${digest}`),
            ...(freedBytes > 0 ? [`freed ${size(freedBytes)}`] : []),
          ])
          .join('\n'),
      );
    });
