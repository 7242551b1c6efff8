import { Command, Option } from 'commander';
import { functionProtocolSchema } from '../../contract/function.ts';
import { CliError } from '../cli-error.ts';
import { type DeployOptions, prepareDeployment, sendDeployment } from '../deploy/deploy-directory.ts';
import { prepareImage } from '../deploy/deploy-image.ts';
import { addDeployOptions, directoryHelp } from '../deploy/options.ts';
import { size } from '../format.ts';
import type { Session } from '../session.ts';

type Options = DeployOptions & { protocol?: (typeof functionProtocolSchema.options)[number] };

export const deployCommand = (session: Session) =>
  addDeployOptions(new Command('deploy'), session)
    .argument('[directory]', "the function's code; this directory unless given")
    .addOption(
      new Option('--protocol <name>', 'with --image alone: how its own program is called').choices(
        functionProtocolSchema.options,
      ),
    )
    .addHelpText('after', directoryHelp)
    .action(async (directory: string | undefined, { protocol, ...options }: Options) => {
      if (protocol !== undefined) {
        if (directory !== undefined)
          throw new CliError(`--protocol takes an image's own program: leave out "${directory}"`);
        const deployed = await sendDeployment(session, prepareImage(protocol, options));
        return session.print(deployed, ({ name, version, digest, image }) => {
          return `${name}, version ${version}: ${image?.reference}\n${digest}\n\n${howToCall(session, name)}`;
        });
      }
      const preparation = await prepareDeployment(directory ?? '.', options);
      const deployed = await sendDeployment(session, preparation);
      const { fileCount, bundleBytes } = preparation;
      session.print(deployed, ({ name, version, digest, runtime, handler }) => {
        const files = `${fileCount} ${fileCount === 1 ? 'file' : 'files'}, ${size(bundleBytes)}`;
        return `${name}, version ${version}: ${runtime}, ${handler}, ${files}
${digest}\n\n${howToCall(session, name)}`;
      });
    });

const howToCall = ({ url }: Session, name: string) => `Call it:
  oncebox invoke ${name} --data '{}'
  curl -s ${url}/v1/functions/${name}/invoke -H 'content-type: application/json' -d '{}'`;
