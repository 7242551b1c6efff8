import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { Command } from 'commander';
import { changeLines } from '../change-lines.ts';
import { CliError } from '../cli-error.ts';
import type { Session } from '../session.ts';

export const diffCommand = (session: Session) =>
  new Command('diff')
    .argument('<invocation>', 'one that was run with --diff')
    .option('-o, --output <file>', 'write the files to a tar; - is standard output; needs "run --keep-files"')
    .action(async (id: string, { output }: { output?: string }) => {
      const { client, signal } = session;
      const invocation = await client.invocation(id, signal);
      const { changes, changesTruncated, diffError, files } = invocation;
      if (changes === undefined) {
        const why = diffError ?? 'run it with "oncebox run --diff"';
        throw new CliError(`cannot tell what ${id} changed: ${why}`);
      }
      if (output === undefined) {
        session.print({ changes, changesTruncated: changesTruncated ?? false }, () =>
          changeLines(invocation),
        );
        return;
      }
      if (files === undefined) {
        const why = diffError ?? 'run it with "oncebox run --keep-files"';
        throw new CliError(`cannot write the files of ${id}: ${why}`);
      }
      const tar = Readable.fromWeb((await client.invocationFiles(id, signal)) as ReadableStream);
      // Standard output stays open for whoever shares it.
      if (output === '-') await pipeline(tar, session.io.stdout, { end: false });
      else await pipeline(tar, createWriteStream(output));
    });
