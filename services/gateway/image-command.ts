import type { ImageConfig } from '../../sdk/contract/image.ts';
import type { Program } from '../../sdk/contract/program.ts';
import type { ParsedRunRequest } from '../../sdk/contract/run-request.ts';
import { envOf } from '../registry/function-image.ts';
import { PlatformError } from '../shared/platform-error.ts';

/** Docker's, for an image that sets none. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

type Request = Pick<ParsedRunRequest, 'entrypoint' | 'args' | 'env' | 'files'>;

/**
 * What an image runs, by Docker's rules: Entrypoint and then Cmd; `args` take the place of Cmd, `entrypoint` that of
 * both. Throws PlatformError `invalid_request` when that leaves nothing to run.
 */
export function imageCommand({ entrypoint, args, env, files = [] }: Request, config: ImageConfig): Program {
  const command = args ?? (entrypoint === undefined ? (config.Cmd ?? []) : []);
  const argv = [...(entrypoint ?? config.Entrypoint ?? []), ...command];
  if (argv.length === 0) {
    throw new PlatformError(
      'invalid_request',
      'there is nothing to run: the image has neither Entrypoint nor Cmd; give "args" or "entrypoint", or "runtime" ' +
        'and "code"',
      { field: 'args' },
    );
  }
  return { kind: 'command', argv, env: { PATH: defaultPath, ...envOf(config.Env), ...env }, files };
}
