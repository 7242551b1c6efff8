import { type Command, Option } from 'commander';
import { isolation, keyValue, limit, several } from '../option-values.ts';
import type { Session } from '../session.ts';

/** What `deploy` and `dev` have in common. */
export function addDeployOptions(command: Command, session: Session): Command {
  return command
    .option('--name <name>', "the function's name; its package's or directory's unless given")
    .addOption(new Option('--runtime <name>', 'what runs it').choices(['node', 'python']))
    .option('--handler <file.export>', 'what is called, such as index.handler')
    .option('--image <reference>', "what the code is put on, instead of the runtime's own")
    .option('-e, --env <name=value>', 'set a variable; a name alone passes on our own', keyValue(session))
    .option('--limit <name=value>', 'such as wallMs=60000 or memoryBytes=268435456; may be repeated', limit)
    .option('--no-zygote', 'initialise in every call')
    .option('--secret <name>', 'one that it finds in /run/secrets; may be repeated', several)
    .option('--isolation <wall>', 'native, runc or gvisor: the wall around it', isolation);
}

export const directoryHelp = `
What is not given is taken from oncebox.json in the directory (name, runtime, handler, image, env, limits, zygote,
isolation, secrets), else from package.json and the names of the files: index.*, main.py and the like. Everything in the
directory is sent, node_modules too, but what .onceboxignore names in the way of .dockerignore; .git, .env and
__pycache__ are left out unless it says "!.env" and so on.`;
