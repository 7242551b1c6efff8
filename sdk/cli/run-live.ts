import type { Invocation } from '../contract/invocation.ts';
import type { RunRequest } from '../contract/run-request.ts';
import type { InvocationOptions } from '../invocation-headers.ts';
import { CliError } from './cli-error.ts';
import type { Session } from './session.ts';
import { write } from './write.ts';

/**
 * Runs a program and writes what it writes while it does; resolves with the record. To stop is to cancel it. All that a compiler
 * writes goes to standard error: the output is the program's.
 */
export async function runLive(
  session: Session,
  request: RunRequest,
  options: InvocationOptions,
): Promise<Invocation> {
  const { stdout, stderr } = session.io;
  let isCompiling = false;
  for await (const event of session.client.runEvents(request, options)) {
    if (event.type === 'stage') isCompiling = event.stage === 'compile';
    else if (event.type === 'stdout') await write(isCompiling ? stderr : stdout, event.text);
    else if (event.type === 'stderr') await write(stderr, event.text);
    else if (event.type === 'end') return event.invocation;
  }
  throw new CliError('the platform did not say how it ended');
}
