import { Command } from 'commander';
import {
  addInvocationListOptions,
  type InvocationListOptions,
  printInvocations,
} from '../invocation-table.ts';
import type { Session } from '../session.ts';

export const invocationsCommand = (session: Session) =>
  addInvocationListOptions(new Command('invocations'))
    .option('-q, --quiet', 'ids only')
    .action(async ({ quiet = false, ...options }: InvocationListOptions & { quiet?: boolean }) => {
      await printInvocations(session, options, quiet);
    });
