import { Command } from 'commander';
import { forEach } from '../for-each.ts';
import { size } from '../format.ts';
import type { Session } from '../session.ts';

export const rmCommand = (session: Session) =>
  new Command('rm')
    .argument('<references...>')
    .option('-f, --force', 'also while sandboxes stand on them: waits for those and lets no new ones start')
    .action(async (references: string[], { force = false }: { force?: boolean }) => {
      const removals = await forEach(session, references, (reference) =>
        session.client.removeImage(reference, { force, ...session.signal }),
      );
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
