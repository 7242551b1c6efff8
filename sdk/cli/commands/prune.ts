import { Command } from 'commander';
import { size } from '../format.ts';
import type { Session } from '../session.ts';

export const pruneCommand = (session: Session) =>
  new Command('prune').action(async () => {
    const pruned = await session.client.pruneImages(session.signal);
    session.print(pruned, ({ images, layers, blobs, freedBytes }) =>
      [
        ...images.map((digest) => `image ${digest}`),
        ...layers.map((digest) => `layer ${digest}`),
        ...blobs.map((digest) => `blob ${digest}`),
        `freed ${size(freedBytes)}`,
      ].join('\n'),
    );
  });
