import { Command } from 'commander';
import { positiveInteger } from '../option-values.ts';
import type { Session } from '../session.ts';

export const rollbackCommand = (session: Session) =>
  new Command('rollback')
    .argument('<function>')
    .option('--to <version>', 'this one, instead of the one before', positiveInteger)
    .action(async (name: string, { to }: { to?: number }) => {
      const options = { ...session.signal, ...(to !== undefined && { version: to }) };
      const deployed = await session.client.rollback(name, options);
      session.print(deployed, ({ version }) => `${name} calls version ${version}`);
    });
