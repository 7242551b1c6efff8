import { type Command, Option } from 'commander';
import type { Invocation } from '../contract/invocation.ts';
import { table } from './format.ts';
import { listLimit } from './option-values.ts';
import type { Session } from './session.ts';

export interface InvocationListOptions {
  function?: string;
  status?: Invocation['status'];
  limit?: number;
}

/** What `invocations` and `ps --invocations` have in common. */
export function addInvocationListOptions(command: Command): Command {
  return command
    .option('--function <name>', 'calls of this function only')
    .addOption(new Option('--status <status>', 'only those that are so').choices(statuses))
    .option('--limit <number>', 'so many at most, up to 100; 20 unless given', listLimit);
}

export async function printInvocations(
  session: Session,
  { function: name, status, limit }: InvocationListOptions,
  isQuiet: boolean,
): Promise<void> {
  const query = {
    ...(name !== undefined && { function: name }),
    ...(status !== undefined && { status }),
    ...(limit !== undefined && { limit }),
  };
  const invocations = await session.client.invocations(query, session.signal);
  session.print(invocations, () =>
    isQuiet
      ? invocations.map(({ id }) => id).join('\n')
      : table(
          ['INVOCATION', 'RUNS', 'STATUS', 'OUTCOME', 'ATTEMPT', 'START', 'WALL TIME'],
          invocations.map((one) => [
            one.id,
            one.function === undefined
              ? (one.image?.reference ?? '-')
              : `${one.function.name}:${one.function.version}`,
            one.status,
            one.outcome?.status ?? '-',
            one.attempt === undefined ? '-' : `${one.attempt}`,
            one.start ?? '-',
            one.usage === undefined ? '-' : `${Math.round(one.usage.wallMs)} ms`,
          ]),
        ),
  );
}

/** The schema is loaded with the client; a help text needs none of it. */
const statuses: Invocation['status'][] = ['queued', 'running', 'done', 'failed'];
