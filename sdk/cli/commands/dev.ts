import { Command } from 'commander';
import { addDeployOptions, directoryHelp } from '../deploy/options.ts';
import { type DevOptions, devLoop } from '../dev/dev-loop.ts';
import type { Session } from '../session.ts';

export const devCommand = (session: Session) =>
  addDeployOptions(new Command('dev'), session)
    .argument('[directory]', "the function's code; this directory unless given", '.')
    .option('-i, --invoke <file>', 'call every new version with the event in this JSON file')
    .addHelpText('after', directoryHelp)
    .action(async (directory: string, options: DevOptions) => {
      await devLoop(session, directory, options);
    });
