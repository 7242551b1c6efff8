import { Command } from 'commander';
import { shortDigest, size, table } from '../format.ts';
import type { Session } from '../session.ts';

export const psCommand = (session: Session) =>
  new Command('ps')
    .option('-a, --all', 'also those that are parked and wait for work')
    .action(async ({ all = false }: { all?: boolean }) => {
      const list = await session.client.sandboxes(session.signal);
      const sandboxes = list.sandboxes.filter(({ state }) => all || state !== 'created');
      session.print({ ...list, sandboxes }, () =>
        table(
          ['SANDBOX', 'STATE', 'RUNTIME', 'IMAGE', 'RUNS', 'AGE', 'MEMORY', 'SIZE'],
          sandboxes.map((one) => [
            one.id,
            one.state,
            one.runtime ?? '-',
            one.image.reference ?? shortDigest(one.image.digest),
            one.function ?? one.invocationId ?? '-',
            age(one.ageMs),
            size(one.memoryBytes),
            `${size(one.writableBytes)} (virtual ${size(one.virtualBytes)})`,
          ]),
        ),
      );
      if (list.silentNodes.length > 0) session.note(`no answer from ${list.silentNodes.join(', ')}`);
    });

function age(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
