import { Command } from 'commander';
import { buildCommand } from './commands/build.ts';
import { dfCommand } from './commands/df.ts';
import { diffCommand } from './commands/diff.ts';
import { historyCommand } from './commands/history.ts';
import { imagesCommand } from './commands/images.ts';
import { importCommand } from './commands/import.ts';
import { inspectCommand } from './commands/inspect.ts';
import { pruneCommand } from './commands/prune.ts';
import { psCommand } from './commands/ps.ts';
import { pullCommand } from './commands/pull.ts';
import { pushCommand } from './commands/push.ts';
import { rmCommand } from './commands/rm.ts';
import { runCommand } from './commands/run.ts';
import { tagCommand } from './commands/tag.ts';
import { defaultUrl, type Session } from './session.ts';

const commands = [
  ...[runCommand, psCommand, diffCommand],
  ...[imagesCommand, pullCommand, pushCommand, importCommand, buildCommand],
  ...[inspectCommand, historyCommand, tagCommand, rmCommand, pruneCommand, dfCommand],
];

export type MakeCommand = (session: Session) => Command;

export function createProgram(session: Session, more: readonly MakeCommand[] = []): Command {
  const { stdout, stderr } = session.io;
  const program = new Command('oncebox')
    .description('Runs programs in fresh containers, and keeps their images.')
    // What follows the image of `run` is the program's, whatever it looks like.
    .enablePositionalOptions()
    .hook('preAction', (_, command) => session.begin(command.optsWithGlobals()));
  for (const make of [...commands, ...more]) program.addCommand(make(session));
  for (const command of [program, ...program.commands]) {
    command
      .option('--url <address>', `where oncebox listens (ONCEBOX_URL, else ${defaultUrl})`)
      .option('--json', 'answer in JSON, for programs')
      .showHelpAfterError(`("oncebox ${command === program ? '' : `${command.name()} `}--help" says more)`)
      .exitOverride()
      .configureOutput({
        writeOut: (text) => stdout.write(text),
        writeErr: (text) => stderr.write(text),
        outputError: (text, write) => write(`oncebox: ${text.replace(/^error: /, '')}`),
      });
  }
  return program;
}
