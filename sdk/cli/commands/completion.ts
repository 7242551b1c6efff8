import { Argument, Command } from 'commander';
import { completionScripts } from '../completion/scripts.ts';
import type { Session } from '../session.ts';

export const completionCommand = (session: Session) =>
  new Command('completion')
    .addArgument(new Argument('<shell>').choices(Object.keys(completionScripts)))
    .addHelpText(
      'after',
      `
In ~/.bashrc:                  source <(oncebox completion bash)
In ~/.zshrc, after compinit:   source <(oncebox completion zsh)

Names of functions and images are asked from the platform; where it does not answer, there are none.`,
    )
    .action((shell: keyof typeof completionScripts) => {
      session.io.stdout.write(completionScripts[shell]);
    });
