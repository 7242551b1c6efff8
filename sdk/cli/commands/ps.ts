import { Command, Option } from 'commander';
import { CliError } from '../cli-error.ts';
import { shortDigest, size, table } from '../format.ts';
import {
  addInvocationListOptions,
  type InvocationListOptions,
  printInvocations,
} from '../invocation-table.ts';
import type { Session } from '../session.ts';

interface Options extends InvocationListOptions {
  all?: boolean;
  invocations?: boolean;
}

export const psCommand = (session: Session) =>
  addInvocationListOptions(
    new Command('ps')
      .addOption(
        new Option('-a, --all', 'also those that are parked and wait for work').conflicts('invocations'),
      )
      .option('--invocations', 'list invocations instead, as "oncebox invocations" does'),
  ).action(async ({ all = false, invocations = false, ...options }: Options) => {
    if (invocations) return printInvocations(session, options, false);
    const [given] = Object.keys(options).filter((name) => listOptions.includes(name));
    if (given !== undefined) throw new CliError(`--${given} goes with --invocations`, 2);
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

/** Of invocations only. */
const listOptions = ['function', 'status', 'limit'];

function age(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
