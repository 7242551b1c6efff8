import { Command } from 'commander';
import { size, table } from '../format.ts';
import type { Session } from '../session.ts';

export const dfCommand = (session: Session) =>
  new Command('df').action(async () => {
    const usage = await session.client.imageDiskUsage(session.signal);
    session.print(usage, ({ images, layers, blobs, sandboxes, freeBytes }) => {
      const rows = Object.entries({ images, layers, blobs, sandboxes }).map(([name, line]) => [
        name,
        `${line.count}`,
        size(line.bytes),
        size(line.reclaimableBytes),
      ]);
      return `${table(['TYPE', 'COUNT', 'SIZE', 'RECLAIMABLE'], rows)}\n\n${size(freeBytes)} free on the disk of the images`;
    });
  });
