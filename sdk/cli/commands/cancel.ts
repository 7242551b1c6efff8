import { Command } from 'commander';
import { forEach } from '../for-each.ts';
import type { Session } from '../session.ts';

export const cancelCommand = (session: Session) =>
  new Command('cancel').argument('<invocations...>').action(async (ids: string[]) => {
    const records = await forEach(session, ids, (id) => session.client.cancel(id, session.signal));
    session.print(records, () =>
      records.map(({ id, status, outcome }) => `${id} ${outcome?.status ?? status}`).join('\n'),
    );
  });
