import { Command } from 'commander';
import type { Session } from '../session.ts';

export const tagCommand = (session: Session) =>
  new Command('tag')
    .description('give an image another name')
    .argument('<source>')
    .argument('<target>')
    .action(async (source: string, target: string) => {
      const image = await session.client.tagImage(source, target, session.signal);
      session.print(image, () => '');
    });
