import { Command, Option } from 'commander';
import { explainFailure, failedInvocation, resultText } from '../call.ts';
import { readEvent } from '../event.ts';
import {
  addInvocationOptions,
  checkCallback,
  type InvocationFlags,
  invocationOptions,
} from '../invocation-options.ts';
import { invokeBatch } from '../invoke-batch.ts';
import { invokeLive } from '../invoke-live.ts';
import type { Session } from '../session.ts';

interface Options extends InvocationFlags {
  data?: string;
  logs?: boolean;
  stream?: boolean;
  batch?: string;
}

export const invokeCommand = (session: Session) =>
  addInvocationOptions(new Command('invoke'))
    .argument('<function>', 'its name; name:alias or name:version for another version than the current one')
    .option('-d, --data <json>', 'the event: JSON, @file, or - for standard input')
    .option('-l, --logs', 'write what it prints to standard error, as it prints it')
    .option('-s, --stream', 'write the result piece by piece, where the function returns it so')
    .addOption(
      new Option(
        '--batch <file>',
        'call it for each line of JSON in a file, without waiting; - is standard input',
      ).conflicts(['data', 'async', 'logs', 'stream', 'idempotencyKey']),
    )
    .addHelpText('after', exitCodes)
    .action(async (name: string, options: Options) => {
      const { data, async: isAsync = false, logs = false, stream = false, batch } = options;
      checkCallback(options, isAsync || batch !== undefined);
      if (batch !== undefined) return invokeBatch(session, name, batch, options);
      const treated = invocationOptions(session, options);
      const event = await readEvent(data, session.io);
      if (isAsync) {
        const invocation = await session.client.invokeAsync(name, event, treated);
        return session.print(invocation, ({ id }) => id);
      }
      if (logs || stream) return invokeLive(session, name, event, { logs, stream, treated });
      try {
        const reply = await session.client.invoke(name, event, treated);
        session.print(reply, ({ result }) => resultText(result));
      } catch (error) {
        const invocation = await failedInvocation(session, error);
        if (invocation === undefined) throw error;
        if (session.json) session.print(invocation, () => '');
        session.exitCode = explainFailure(session, invocation, false);
      }
    });

const exitCodes = `
Ends with 1 when the function failed, 124 after a timeout, 137 when out of memory, 128 and the number after another
signal, and 125 when the platform stopped or refused it.`;
