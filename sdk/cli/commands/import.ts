import { open } from 'node:fs/promises';
import { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import type { Session } from '../session.ts';
import { runTask } from '../task.ts';

export const importCommand = (session: Session) =>
  new Command('import')
    .argument('<file>', 'the archive, gzipped or not; - reads standard input')
    .option('-t, --tag <reference>', 'the name to give it, or to choose of several in the archive')
    .action(async (path: string, { tag }: { tag?: string }) => {
      const archive = path === '-' ? session.io.stdin : await openFile(path);
      await runTask(session, (task) =>
        session.client.importImage(archive, { ...task, ...(tag !== undefined && { reference: tag }) }),
      );
    });

async function openFile(path: string) {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(`cannot read ${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`);
  });
  return file.createReadStream();
}
