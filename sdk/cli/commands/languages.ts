import { Command } from 'commander';
import { forEach } from '../for-each.ts';
import { table } from '../format.ts';
import { installLanguage } from '../program-language.ts';
import type { Session } from '../session.ts';

export const languagesCommand = (session: Session) =>
  new Command('languages')
    .addCommand(listCommand(session), { isDefault: true })
    .addCommand(installCommand(session))
    .addCommand(removeCommand(session));

const listCommand = (session: Session) =>
  new Command('ls')
    .description('list languages, installed or not')
    .option('-q, --quiet', 'names of those that are installed only')
    .action(async ({ quiet = false }: { quiet?: boolean }) => {
      const languages = await session.client.languages.list(session.signal);
      session.print(languages, () =>
        quiet
          ? languages
              .filter(({ installed }) => installed)
              .map(({ name }) => name)
              .join('\n')
          : table(
              ['LANGUAGE', 'VERSION', 'INSTALLED', 'FILES', 'ALIASES'],
              languages.map((one) => [
                one.name,
                one.version,
                one.builtIn ? 'always' : one.installed ? 'yes' : 'no',
                one.extensions.join(' '),
                one.aliases.join(' '),
              ]),
            ),
      );
    });

const installCommand = (session: Session) =>
  new Command('install')
    .description("make the images of languages, from Debian's packages")
    .argument('<languages...>')
    .action(async (names: string[]) => {
      const installed = await forEach(session, names, (name) => installLanguage(session, name));
      session.print(installed, () => installed.map(({ name, version }) => `${name} ${version}`).join('\n'));
    });

const removeCommand = (session: Session) =>
  new Command('remove')
    .alias('rm')
    .description('remove the images of languages, once what runs on them has ended')
    .argument('<languages...>')
    .action(async (names: string[]) => {
      const removed = await forEach(session, names, async (name) => {
        await session.client.languages.remove(name, session.signal);
        return name;
      });
      session.print({ removed }, () => removed.map((name) => `removed ${name}`).join('\n'));
    });
