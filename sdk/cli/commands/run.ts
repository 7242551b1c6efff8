import { Command } from 'commander';
import type { Isolation } from '../../contract/isolation.ts';
import type { RunRequest } from '../../contract/run-request.ts';
import { changeLines } from '../change-lines.ts';
import { exitOf } from '../exit-code.ts';
import {
  addInvocationOptions,
  checkCallback,
  type InvocationFlags,
  invocationOptions,
} from '../invocation-options.ts';
import { isolation, keyValue, limit } from '../option-values.ts';
import { languageOfFile } from '../program-language.ts';
import { readStdin } from '../read-stdin.ts';
import { runAttached, showLive } from '../run-live.ts';
import { imageOrSnippet, type RunOptions } from '../run-request.ts';
import type { Session } from '../session.ts';

interface Options extends RunOptions, InvocationFlags {
  env?: Record<string, string>;
  limit?: Record<string, number>;
  isolation?: Isolation;
  diff?: boolean;
  keepFiles?: boolean;
  stdin: boolean;
}

export const runCommand = (session: Session) =>
  addInvocationOptions(new Command('run'))
    .argument('<image|file>', 'an image; or a program, such as main.py or main.go')
    .argument('[arguments...]', "the program's own")
    .option(
      '--runtime <name>',
      'node, python or bash: the next argument is a program for it; after an image, one in it',
    )
    .option('--language <name>', 'what a program is written in, where its extension does not say that')
    .option('-e, --env <name=value>', 'set a variable; a name alone passes on our own', keyValue(session))
    .option('-w, --workdir <path>', "instead of the image's working directory")
    .option('-u, --user <user>', "instead of the image's user: name or uid, with :group")
    .option('--entrypoint <program>', "instead of the image's entrypoint")
    .option('--limit <name=value>', 'such as wallMs=60000 or memoryBytes=268435456; may be repeated', limit)
    .option('--isolation <wall>', 'native, runc or gvisor: the wall around it', isolation)
    .option('--diff', 'say afterwards what it changed in its files')
    .option('--keep-files', 'the same, and keep what it wrote for "oncebox diff --output"')
    .option(
      '--no-stdin',
      'do not read standard input, as if it were empty; for a job in the background of a terminal',
    )
    .passThroughOptions()
    .addHelpText('after', exitCodes)
    .action(async (subject: string, args: string[], options: Options) => {
      const { async: isAsync = false } = options;
      checkCallback(options, isAsync);
      const { env = {}, limit: limits = {}, stdin } = options;
      const diff = options.keepFiles ? 'archive' : (options.diff ?? false);
      const request: RunRequest = {
        ...(await imageOrSnippet(subject, args, options, (file, given) =>
          languageOfFile(session, file, given),
        )),
        ...{ env, limits, diff },
        ...(options.isolation && { isolation: options.isolation }),
      };
      const { client, json } = session;
      const treated = invocationOptions(session, options);
      const isAttached = !isAsync && (options.isolation ?? 'native') === 'native';
      if (stdin && !isAttached) request.stdin = await readStdin(session.io);
      if (isAsync) return session.print(await client.runAsync(request, treated), ({ id }) => id);
      const invocation = isAttached
        ? await runAttached(session, request, { ...treated, readsStdin: stdin })
        : await showLive(session, client.runEvents(request, treated));
      const { code, message } = exitOf(invocation);
      session.exitCode = code;
      if (json) return session.print(invocation, () => '');
      if (message !== undefined) session.note(`oncebox: ${message}`);
      if (invocation.changes !== undefined) session.note(changeLines(invocation) || 'nothing was changed');
      if (invocation.diffError !== undefined) session.note(`oncebox: ${invocation.diffError}`);
      if (invocation.files !== undefined)
        session.note(`"oncebox diff ${invocation.id} --output files.tar" fetches the files`);
    });

const exitCodes = `
What is read and written goes through as it comes, byte by byte. Ctrl-C sends it SIGINT, a second one cancels it.
With --async or another wall than native its input is text, and read to its end first; Ctrl-C cancels it then.
Ends with the program's own code; with 124 after a timeout, 128 and the number
after a signal, 137 when out of memory, and 125 when the platform stopped or
refused it.`;
