import { Command } from 'commander';
import { forEach } from '../for-each.ts';
import { ago, table } from '../format.ts';
import { listLimit } from '../option-values.ts';
import type { Session } from '../session.ts';

interface ListOptions {
  function?: string;
  limit?: number;
  quiet?: boolean;
}

export const deadLettersCommand = (session: Session) =>
  new Command('dead-letters')
    .addCommand(listCommand(session), { isDefault: true })
    .addCommand(showCommand(session))
    .addCommand(redriveCommand(session))
    .addCommand(removeCommand(session));

const listCommand = (session: Session) =>
  new Command('ls')
    .description('list calls with --async that failed for good, newest first')
    .option('--function <name>', 'of this function only')
    .option('--limit <number>', 'so many at most, up to 100; 20 unless given', listLimit)
    .option('-q, --quiet', 'ids only')
    .action(async ({ quiet = false, ...query }: ListOptions) => {
      const letters = await session.client.deadLetters(query, session.signal);
      session.print(letters, () =>
        quiet
          ? letters.map(({ id }) => id).join('\n')
          : table(
              ['INVOCATION', 'FUNCTION', 'OUTCOME', 'ATTEMPTS', 'DIED'],
              letters.map((one) => [
                one.id,
                one.function,
                one.invocation.outcome?.status ?? '-',
                `${one.attempts}`,
                ago(one.diedAt),
              ]),
            ),
      );
    });

const showCommand = (session: Session) =>
  new Command('show')
    .description('print all that is known of one, as JSON')
    .argument('<dead-letter>')
    .action(async (id: string) => {
      const letter = await session.client.deadLetter(id, session.signal);
      session.print(letter, (value) => JSON.stringify(value, null, 2));
    });

const redriveCommand = (session: Session) =>
  new Command('redrive')
    .description('call the function again with the same event, as it is now; prints the ids of the new calls')
    .argument('<dead-letters...>')
    .action(async (ids: string[]) => {
      const invocations = await forEach(session, ids, (id) => session.client.redrive(id, session.signal));
      session.print(invocations, () => invocations.map(({ id }) => id).join('\n'));
    });

const removeCommand = (session: Session) =>
  new Command('rm')
    .description('remove dead letters, and what could be run again with them')
    .argument('<dead-letters...>')
    .action(async (ids: string[]) => {
      const removed = await forEach(session, ids, async (id) => {
        await session.client.deleteDeadLetter(id, session.signal);
        return id;
      });
      session.print({ removed }, () => removed.map((id) => `removed ${id}`).join('\n'));
    });
