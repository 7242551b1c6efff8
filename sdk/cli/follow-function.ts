import type { InvocationSummary } from '../contract/dead-letter.ts';
import { OnceboxError } from '../oncebox-error.ts';
import { pause } from '../retry.ts';
import { CliError } from './cli-error.ts';
import type { Session } from './session.ts';

/** As many as a list of invocations may have. */
const listMax = 100;
const betweenLooksMs = 500;

/** The id of a function's newest invocation. */
export async function newestInvocation(session: Session, name: string): Promise<string> {
  const [newest] = await session.client.invocations({ function: name, limit: 1 }, session.signal);
  if (newest !== undefined) return newest.id;
  // Says so where it is not there.
  await session.client.getFunction(name, session.signal);
  throw new CliError(`cannot print logs of ${name}: nobody has called it, or its records are gone`);
}

/**
 * Calls `show` for a function's newest invocation, for those that have not ended, and for each that comes, until it is
 * interrupted: at once, so that one does not wait for another's end. Rejects when `show` does.
 */
export async function followFunction(
  session: Session,
  name: string,
  show: (id: string, isNew: boolean) => Promise<void>,
): Promise<never> {
  const { client, signal } = session;
  const failed = new AbortController();
  const going = AbortSignal.any([signal.signal, failed.signal]);
  let seen = new Set<string>();
  const list = () => client.invocations({ function: name, limit: listMax }, signal);
  const begin = (one: InvocationSummary, isNew: boolean) =>
    void show(one.id, isNew).catch((error: unknown) => {
      // Many came and went between two looks, and this one's record is gone already.
      if (error instanceof OnceboxError && error.code === 'invocation_not_found') return;
      failed.abort(error);
    });

  const first = await list();
  if (first.length === 0) await client.getFunction(name, signal);
  const shown = first.filter(({ status }, at) => at === 0 || status === 'queued' || status === 'running');
  for (const one of shown.toReversed()) begin(one, false);
  for (let listed = first; ; listed = await list()) {
    if (listed !== first)
      for (const one of listed.filter(({ id }) => !seen.has(id)).toReversed()) begin(one, true);
    // What was in a list before and is not in this one is older than all of it: it does not come again.
    seen = new Set(listed.map(({ id }) => id));
    await pause(betweenLooksMs, going);
  }
}
