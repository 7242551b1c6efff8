import { Command, Option } from 'commander';
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
    .argument('<invocation>')
    .option('-f, --follow', 'go on until it ends')
    .option('-n, --tail <lines>', 'of what there is already, the last so many lines', nonNegativeInteger)
    .addOption(new Option('--stream <name>', 'one of the two alone').choices(['stdout', 'stderr']))
    .action(async (id: string, { follow = false, tail, stream }: Options) => {
      const { client, signal, io, json } = session;
      if (json) return jsonLogs(session, id, follow);
      const options = { ...signal, follow, ...(tail !== undefined && { tail }), ...(stream && { stream }) };
      const reader = (await client.logs(id, options)).getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        await write(io.stdout, piece.value);
      }
    });

/** One document, or, followed, a line for each event. */
async function jsonLogs(session: Session, id: string, follow: boolean): Promise<void> {
  const { client, signal } = session;
  if (!follow) {
    const { status, stdout, stderr, stdoutTruncated, stderrTruncated } = await client.invocation(id, signal);
    return session.print({ id, status, stdout, stderr, stdoutTruncated, stderrTruncated }, () => '');
  }
  for await (const { eventId, ...event } of client.events(id, signal)) session.printLine(event, () => '');
}
