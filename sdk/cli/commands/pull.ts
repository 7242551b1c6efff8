import { Command } from 'commander';
import { addRegistryOptions, type RegistryOptions, registryAccess } from '../registry-options.ts';
import type { Session } from '../session.ts';
import { runTask } from '../task.ts';

export const pullCommand = (session: Session) =>
  addRegistryOptions(new Command('pull'))
    .argument('<reference>', '[registry/]name[:tag][@digest]; docker.io without a registry')
    .action(async (reference: string, options: RegistryOptions) => {
      const access = await registryAccess(session, options);
      await runTask(session, (task) => session.client.pullImage({ reference, ...access }, task));
    });
