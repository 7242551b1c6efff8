import { Command } from 'commander';
import { positiveInteger } from '../option-values.ts';
import { addRegistryOptions, type RegistryOptions, registryAccess } from '../registry-options.ts';
import type { Session } from '../session.ts';
import { runTask } from '../task.ts';

interface PushOptions extends RegistryOptions {
  function?: boolean;
  version?: number;
}

export const pushCommand = (session: Session) =>
  addRegistryOptions(new Command('push'))
    .argument('<source>', 'image in the store; with --function the name of a function')
    .argument('<target>', 'registry/name[:tag]')
    .option('--function', 'push a version of the function <source>')
    .option('--version <number>', 'which one; the current one unless given', positiveInteger)
    .action(
      async (source: string, target: string, { function: isFunction, version, ...options }: PushOptions) => {
        const access = await registryAccess(session, options);
        await runTask(session, (task) =>
          isFunction
            ? session.client.pushFunction(source, { target, ...access, ...(version && { version }) }, task)
            : session.client.pushImage({ source, target, ...access }, task),
        );
      },
    );
