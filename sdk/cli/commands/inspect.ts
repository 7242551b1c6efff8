import { Command } from 'commander';
import type { Session } from '../session.ts';

export const inspectCommand = (session: Session) =>
  new Command('inspect').argument('<reference>').action(async (reference: string) => {
    const detail = await session.client.inspectImage(reference, session.signal);
    session.print(detail, (value) => JSON.stringify(value, null, 2));
  });
