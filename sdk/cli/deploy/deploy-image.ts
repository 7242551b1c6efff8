import type { DeployRequest } from '../../contract/function.ts';
import { CliError } from '../cli-error.ts';
import type { DeployOptions } from './deploy-directory.ts';
import { functionNameOf } from './infer.ts';

/**
 * What an image that was built for Lambda is deployed as: nothing is uploaded, as it brings its program. The handler is what that
 * program gets as its argument; the image's own unless given.
 */
export function prepareImage(
  protocol: 'lambda',
  { name, image, handler, env, limit, secret, runtime, zygote, isolation }: DeployOptions,
): { name: string; request: DeployRequest } {
  if (image === undefined) throw new CliError('--protocol goes with --image, which brings the program');
  if (runtime !== undefined) throw new CliError('--protocol goes with an image, and --runtime with code');
  if (zygote === false) throw new CliError('--protocol goes with an image, and --no-zygote with code');
  const [, repository = image] = /([^/:@]+)(?::[^/@]*)?(?:@.*)?$/.exec(image) ?? [];
  return {
    name: name ?? functionNameOf(repository),
    request: {
      image,
      protocol,
      ...(handler !== undefined && { args: [handler] }),
      ...(env && { env }),
      ...(limit && { limits: limit }),
      ...(secret && { secrets: [...new Set(secret)] }),
      ...(isolation && { isolation }),
    },
  };
}
