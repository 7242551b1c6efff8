import { Command } from 'commander';
import { type DeployOptions, prepareDeployment, sendDeployment } from '../deploy/deploy-directory.ts';
import { addDeployOptions, directoryHelp } from '../deploy/options.ts';
import { size } from '../format.ts';
import type { Session } from '../session.ts';

export const deployCommand = (session: Session) =>
  addDeployOptions(new Command('deploy'), session)
    .argument('[directory]', "the function's code; this directory unless given", '.')
    .addHelpText('after', directoryHelp)
    .action(async (directory: string, options: DeployOptions) => {
      const preparation = await prepareDeployment(directory, options);
      const deployed = await sendDeployment(session, preparation);
      const { fileCount, bundleBytes } = preparation;
      session.print(deployed, ({ name, version, digest, runtime, handler }) => {
        const files = `${fileCount} ${fileCount === 1 ? 'file' : 'files'}, ${size(bundleBytes)}`;
        return `${name}, version ${version}: ${runtime}, ${handler}, ${files}
${digest}

Call it:
  oncebox invoke ${name} --data '{}'
  curl -s ${session.url}/v1/functions/${name}/invoke -H 'content-type: application/json' -d '{}'`;
      });
    });
