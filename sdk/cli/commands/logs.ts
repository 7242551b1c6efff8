import type { ReadableStream } from 'node:stream/web';
import { Command, Option } from 'commander';
import type { LogOptions } from '../../stream-client.ts';
import { followFunction, newestInvocation } from '../follow-function.ts';
import { nonNegativeInteger } from '../option-values.ts';
import type { Session } from '../session.ts';
import { write } from '../write.ts';

interface Options {
  follow?: boolean;
  tail?: number;
  stream?: 'stdout' | 'stderr';
}

export const logsCommand = (session: Session) =>
  new Command('logs')
    .argument('<invocation|function>', "an invocation's id; or a function's name, for its newest invocation")
    .option('-f, --follow', 'go on until it ends; of a function, with each new invocation')
    .option('-n, --tail <lines>', 'of what there is already, the last so many lines', nonNegativeInteger)
    .addOption(new Option('--stream <name>', 'one of the two alone').choices(['stdout', 'stderr']))
    .action(async (subject: string, { follow = false, tail, stream }: Options) => {
      const isInvocation = invocationId.test(subject);
      const options = { follow, ...(tail !== undefined && { tail }), ...(stream && { stream }) };
      if (follow && !isInvocation) return followLogs(session, subject, options);
      const id = isInvocation ? subject : await newestInvocation(session, subject);
      if (session.json) return jsonLogs(session, id, follow);
      for await (const piece of await logs(session, id, options)) await write(session.io.stdout, piece);
    });

const invocationId = /^inv_[a-z2-7]{26}$/;

async function logs(session: Session, id: string, options: LogOptions): Promise<ReadableStream<Uint8Array>> {
  return (await session.client.logs(id, { ...session.signal, ...options })) as ReadableStream<Uint8Array>;
}

/** As tail(1) follows several files: a line says whose it is whenever that changes. */
async function followLogs(session: Session, name: string, { tail, ...options }: LogOptions): Promise<never> {
  const { client, signal, io } = session;
  let last: string | undefined;
  return followFunction(session, name, async (id, isNew) => {
    if (session.json) {
      for await (const { eventId, ...event } of client.events(id, signal))
        session.printLine({ id, ...event }, () => '');
      return;
    }
    const own = isNew || tail === undefined ? options : { ...options, tail };
    // A piece may end in the middle of a character, and another invocation's may come between.
    const decoder = new TextDecoder();
    for await (const piece of await logs(session, id, own)) {
      const text = decoder.decode(piece, { stream: true });
      if (text === '') continue;
      const heading = last === id ? '' : `${last === undefined ? '' : '\n'}==> ${id} <==\n`;
      last = id;
      await write(io.stdout, heading + text);
    }
  });
}

/** One document, or, followed, a line for each event. */
async function jsonLogs(session: Session, id: string, follow: boolean): Promise<void> {
  const { client, signal } = session;
  if (!follow) {
    const { status, stdout, stderr, stdoutTruncated, stderrTruncated } = await client.invocation(id, signal);
    return session.print({ id, status, stdout, stderr, stdoutTruncated, stderrTruncated }, () => '');
  }
  for await (const { eventId, ...event } of client.events(id, signal)) session.printLine(event, () => '');
}
