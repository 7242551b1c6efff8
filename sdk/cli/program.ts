import { Command } from 'commander';
import { type CommandEntry, commandList } from './command-list.ts';
import { defaultUrl, type Session } from './session.ts';

/**
 * The command line that `words` are for: the commands that they name are loaded, the others are there by name, for the
 * help and for what was mistyped. `more` are commands beside those of the SDK.
 */
export async function createProgram(
  session: Session,
  words: readonly string[],
  more: readonly CommandEntry[] = [],
): Promise<Command> {
  const program = new Command('oncebox')
    .description('Runs functions and programs in fresh containers, and keeps their images.')
    // What follows the image of `run` is the program's, whatever it looks like.
    .enablePositionalOptions()
    // What is not loaded has a name and no more.
    .configureHelp({ subcommandTerm: (command) => [command.name(), ...command.aliases()].join(', ') })
    .helpCommand('help [command]', 'say more of a command')
    .helpOption('-h, --help', 'say what there is')
    .hook('preAction', (_, command) => session.begin(command.optsWithGlobals()));
  for (const entry of [...more, ...commandList]) {
    const names = [entry.name, ...(entry.aliases ?? [])];
    const isNamed = words.some((word) => names.includes(word));
    const command = isNamed ? (await entry.load())(session) : new Command(entry.name);
    command.description(entry.description).aliases(names.slice(1)).helpGroup(entry.group);
    program.addCommand(command);
  }
  finish(program, '', session);
  return program;
}

/** What all commands have in common, and those below them. */
function finish(command: Command, path: string, session: Session): void {
  const { stdout, stderr } = session.io;
  command
    .option('--url <address>', `where oncebox listens (ONCEBOX_URL, else ${defaultUrl})`)
    .option(
      '--key <key>',
      'what to prove who we are with (better: ONCEBOX_API_KEY, which no other user can read)',
    )
    .option('--json', 'answer in JSON, for programs')
    .showHelpAfterError(`("oncebox ${path}--help" says more)`)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      outputError: (text, write) => write(`oncebox: ${text.replace(/^error: /, '')}`),
    });
  for (const below of command.commands) finish(below, `${path}${below.name()} `, session);
}
