import { Command } from 'commander';
import { packContext } from '../build-context.ts';
import { keyValue } from '../option-values.ts';
import type { Session } from '../session.ts';
import { runTask } from '../task.ts';

interface BuildOptions {
  tag: string;
  file: string;
  buildArg?: Record<string, string>;
  target?: string;
}

export const buildCommand = (session: Session) =>
  new Command('build')
    .argument('<directory>', 'the context: what COPY and ADD find; .dockerignore leaves parts out')
    .requiredOption('-t, --tag <reference>', 'the name of what is built')
    .option('-f, --file <path>', 'the Dockerfile, in the context', 'Dockerfile')
    .option('--build-arg <name=value>', 'for an ARG of the Dockerfile; may be repeated', keyValue(session))
    .option('--target <stage>', 'the stage to build, of several')
    .action(async (directory: string, { tag, file, buildArg = {}, target }: BuildOptions) => {
      const context = await packContext(directory, file);
      await runTask(session, (task) =>
        session.client.buildImage(context, {
          ...task,
          reference: tag,
          dockerfile: file,
          args: buildArg,
          ...(target !== undefined && { target }),
        }),
      );
    });
