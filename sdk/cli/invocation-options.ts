import { type Command, Option } from 'commander';
import type { AsyncInvocationOptions } from '../invocation-headers.ts';
import { CliError } from './cli-error.ts';
import type { Session } from './session.ts';

export interface InvocationFlags {
  async?: boolean;
  priority?: 'high' | 'normal' | 'low';
  callback?: string;
  idempotencyKey?: string;
}

/** What `run` and `invoke` have in common. */
export function addInvocationOptions(command: Command): Command {
  return command
    .option('-a, --async', 'do not wait: print the id of the invocation')
    .addOption(
      new Option('--priority <class>', 'among your others that wait').choices(['high', 'normal', 'low']),
    )
    .option('--callback <url>', 'where the record is sent by POST when it has ended; with --async')
    .option(
      '--idempotency-key <key>',
      'for a day, whoever comes with the same key gets the invocation of the first',
    );
}

export function invocationOptions(session: Session, flags: InvocationFlags): AsyncInvocationOptions {
  const { priority, callback, idempotencyKey } = flags;
  return {
    ...session.signal,
    ...(priority !== undefined && { priority }),
    ...(callback !== undefined && { callback }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
  };
}

/** `isAsync`: the command does not wait for the end. */
export function checkCallback({ callback }: InvocationFlags, isAsync: boolean): void {
  if (callback !== undefined && !isAsync)
    throw new CliError('--callback goes with --async: who waits needs no call back', 2);
}
