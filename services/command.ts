import { main } from '../sdk/cli/main.ts';
import { machineCommands } from './machine-commands.ts';

/** The `oncebox` command: what users import, and the commands that look at this machine, of which that knows nothing. */
await main(machineCommands);
