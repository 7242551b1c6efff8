import { Command } from 'commander';
import { forEach } from '../for-each.ts';
import { ago, table } from '../format.ts';
import { positiveInteger, weight } from '../option-values.ts';
import type { Session } from '../session.ts';

export const aliasCommand = (session: Session) =>
  new Command('alias')
    .addCommand(listCommand(session))
    .addCommand(setCommand(session))
    .addCommand(removeCommand(session));

const listCommand = (session: Session) =>
  new Command('ls')
    .description('list the aliases of a function')
    .argument('<function>')
    .action(async (name: string) => {
      const aliases = await session.client.aliases(name, session.signal);
      session.print(aliases, () =>
        table(
          ['ALIAS', 'VERSION', 'WEIGHTS', 'UPDATED'],
          aliases.map((alias) => [
            alias.name,
            `${alias.version}`,
            Object.entries(alias.weights)
              .map(([version, share]) => `${version}=${share}`)
              .join(' ') || '-',
            ago(alias.updatedAt),
          ]),
        ),
      );
    });

const setCommand = (session: Session) =>
  new Command('set')
    .description('make FUNCTION:ALIAS call a version')
    .argument('<function>')
    .argument('<alias>')
    .argument('<version>', 'the version that gets what no weight gives away', positiveInteger)
    .option(
      '--weight <version=share>',
      'a share of the calls, 0 to 1, for another version; may be repeated',
      weight,
    )
    .action(
      async (
        name: string,
        alias: string,
        version: number,
        { weight: weights }: { weight?: Record<string, number> },
      ) => {
        const request = { version, ...(weights && { weights }) };
        const set = await session.client.putAlias(name, alias, request, session.signal);
        session.print(set, () => `${name}:${set.name} calls version ${set.version}${shares(set.weights)}`);
      },
    );

const removeCommand = (session: Session) =>
  new Command('rm')
    .description('remove aliases of a function')
    .argument('<function>')
    .argument('<aliases...>')
    .action(async (name: string, aliases: string[]) => {
      const removed = await forEach(session, aliases, async (alias) => {
        await session.client.deleteAlias(name, alias, session.signal);
        return alias;
      });
      session.print({ removed }, () => removed.map((alias) => `removed ${name}:${alias}`).join('\n'));
    });

function shares(weights: Record<string, number>): string {
  const parts = Object.entries(weights).map(
    ([version, share]) => `version ${version} in ${Number((share * 100).toFixed(4))} % of the calls`,
  );
  return parts.length === 0 ? '' : `; ${parts.join(', ')}`;
}
