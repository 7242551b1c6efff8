import { Command } from 'commander';
import type { Session } from '../session.ts';

export const tagCommand = (session: Session) =>
  new Command('tag')
    .argument('<source>')
    .argument('<target>')
    .action(async (source: string, target: string) => {
      const image = await session.client.tagImage(source, target, session.signal);
      session.print(image, () => '');
    });
