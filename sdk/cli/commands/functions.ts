import { Command } from 'commander';
import { forEach } from '../for-each.ts';
import { ago, shortDigest, size, table } from '../format.ts';
import type { Session } from '../session.ts';

export const functionsCommand = (session: Session) =>
  new Command('functions')
    .addCommand(listCommand(session), { isDefault: true })
    .addCommand(showCommand(session))
    .addCommand(removeCommand(session));

const listCommand = (session: Session) =>
  new Command('ls')
    .description('list functions')
    .option('-q, --quiet', 'names only')
    .action(async ({ quiet = false }: { quiet?: boolean }) => {
      const functions = await session.client.functions(session.signal);
      session.print(functions, () =>
        quiet
          ? functions.map(({ name }) => name).join('\n')
          : table(
              ['FUNCTION', 'VERSION', 'RUNTIME', 'HANDLER', 'SIZE', 'DEPLOYED'],
              functions.map((one) => [
                one.name,
                `${one.version}`,
                one.runtime ?? one.protocol ?? '-',
                one.handler ?? '-',
                size(one.sizeBytes),
                ago(one.createdAt),
              ]),
            ),
      );
    });

const showCommand = (session: Session) =>
  new Command('show')
    .description('list the versions of a function, newest first')
    .argument('<function>')
    .action(async (name: string) => {
      const record = await session.client.getFunction(name, session.signal);
      session.print(record, ({ current, versions }) =>
        table(
          ['VERSION', 'DIGEST', 'RUNTIME', 'HANDLER', 'IMAGE', 'SIZE', 'DEPLOYED'],
          versions
            .toReversed()
            .map((one) => [
              `${one.version}${one.version === current ? ' *' : ''}`,
              shortDigest(one.digest),
              one.runtime ?? one.protocol ?? '-',
              one.handler ?? '-',
              one.image?.reference ?? '-',
              size(one.sizeBytes),
              ago(one.createdAt),
            ]),
        ),
      );
    });

const removeCommand = (session: Session) =>
  new Command('rm')
    .description('remove functions with all their versions')
    .argument('<functions...>')
    .action(async (names: string[]) => {
      const removed = await forEach(session, names, async (name) => {
        await session.client.deleteFunction(name, session.signal);
        return name;
      });
      session.print({ removed }, () => removed.map((name) => `removed ${name}`).join('\n'));
    });
