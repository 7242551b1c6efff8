import { Command } from 'commander';
import { ago, shortDigest, size, table } from '../format.ts';
import type { Session } from '../session.ts';

export const imagesCommand = (session: Session) =>
  new Command('images')
    .option('-q, --quiet', 'digests only')
    .action(async ({ quiet }: { quiet?: boolean }) => {
      const images = await session.client.images(session.signal);
      session.print(images, () =>
        quiet
          ? [...new Set(images.map((image) => image.digest))].join('\n')
          : table(
              ['REFERENCE', 'DIGEST', 'CREATED', 'SIZE', 'SHARED', 'UNIQUE', 'LAYERS', 'SANDBOXES'],
              images.map((image) => [
                image.reference ?? '<none>',
                shortDigest(image.digest),
                ago(image.created),
                ...[image.sizeBytes, image.sharedBytes, image.uniqueBytes].map(size),
                `${image.layers}`,
                `${image.sandboxes}`,
              ]),
            ),
      );
    });
