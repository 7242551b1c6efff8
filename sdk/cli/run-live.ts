import type { InvocationEvent } from '../contract/events.ts';
import type { Invocation } from '../contract/invocation.ts';
import type { RunRequest } from '../contract/run-request.ts';
import type { InvocationOptions } from '../invocation-headers.ts';
import { isOnceboxError } from '../oncebox-error.ts';
import { CliError } from './cli-error.ts';
import type { Session } from './session.ts';
import { write } from './write.ts';

/**
 * Runs a program as if it were this one: what comes to standard input goes on to it, what it writes is written, and the
 * first Ctrl-C is its SIGINT. Resolves with the record. To stop is to cancel it.
 */
export async function runAttached(
  session: Session,
  request: RunRequest,
  options: InvocationOptions & { readsStdin: boolean },
): Promise<Invocation> {
  const { io } = session;
  const { readsStdin, ...treated } = options;
  const run = await session.client.runInteractive(request, {
    ...treated,
    ...(readsStdin && { stdin: io.stdin }),
  });
  io.onInterrupt = () => {
    run.signal('SIGINT', session.signal).catch((error: Error) => {
      // Of one that is over, the end is on its way.
      if (io.signal.aborted || isOnceboxError(error, 'input_refused')) return;
      session.note(`oncebox: cannot send it SIGINT: ${error.message}`);
    });
  };
  try {
    return await showLive(session, run.events);
  } finally {
    io.onInterrupt = undefined;
  }
}

/**
 * Writes what a program writes while it does; resolves with the record, which is all that is written with `--json`. All that a
 * compiler writes goes to standard error: the output is the program's.
 */
export async function showLive(
  { io: { stdout, stderr }, json }: Session,
  events: AsyncIterable<InvocationEvent>,
): Promise<Invocation> {
  let isCompiling = false;
  for await (const event of events) {
    if (event.type === 'end') return event.invocation;
    if (event.type === 'stage') isCompiling = event.stage === 'compile';
    if (json || (event.type !== 'stdout' && event.type !== 'stderr')) continue;
    const { type, text, base64 } = event;
    const stream = type === 'stdout' && !isCompiling ? stdout : stderr;
    await write(stream, base64 === undefined ? text : Buffer.from(base64, 'base64'));
  }
  throw new CliError('the platform did not say how it ended');
}
