import { batchEventsMax } from '../contract/batch.ts';
import { CliError } from './cli-error.ts';
import { readEventLines } from './event.ts';
import type { InvocationFlags } from './invocation-options.ts';
import type { Session } from './session.ts';

/**
 * Calls a function for each line of a file, without waiting: an id a line, in the order of the events. One that was refused is
 * said on standard error, with its line, and the command ends with 1.
 */
export async function invokeBatch(
  session: Session,
  name: string,
  path: string,
  { priority, callback }: InvocationFlags,
): Promise<void> {
  const each = { ...(priority && { priority }), ...(callback !== undefined && { callback }) };
  const events = await readEventLines(path, session.io);
  if (events.length === 0) throw new CliError(`cannot call ${name}: there are no events in ${path}`, 2);
  for (let from = 0; from < events.length; from += batchEventsMax) {
    const part = events.slice(from, from + batchEventsMax);
    const items = await session.client.invokeBatch(name, part, {
      ...session.signal,
      each: part.map(() => each),
    });
    for (const [index, item] of items.entries()) {
      if (!('error' in item)) {
        session.printLine(item, ({ id }) => id);
        continue;
      }
      session.exitCode = 1;
      session.note(`oncebox: event ${from + index + 1}: ${item.error.message}`);
      if (session.json) session.printLine(item, () => '');
    }
  }
}
