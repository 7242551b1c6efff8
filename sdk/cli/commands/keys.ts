import { Command, Option } from 'commander';
import { scopeSchema } from '../../contract/key.ts';
import { forEach } from '../for-each.ts';
import { ago, table, until } from '../format.ts';
import { instant } from '../option-values.ts';
import type { Session } from '../session.ts';

interface CreateOptions {
  tenant?: string;
  scope: (typeof scopeSchema.options)[number][];
  expires?: string;
}

export const keysCommand = (session: Session) =>
  new Command('keys')
    .addCommand(listCommand(session), { isDefault: true })
    .addCommand(createCommand(session))
    .addCommand(removeCommand(session));

const listCommand = (session: Session) =>
  new Command('ls').description('list keys, without what opens').action(async () => {
    const keys = await session.client.keys(session.signal);
    session.print(keys, () =>
      table(
        ['KEY', 'NAME', 'TENANT', 'SCOPES', 'CREATED', 'EXPIRES'],
        keys.map((key) => [
          key.id,
          key.name,
          key.tenant,
          key.scopes.join(','),
          ago(key.createdAt),
          key.expiresAt === undefined ? 'never' : until(key.expiresAt),
        ]),
      ),
    );
  });

const createCommand = (session: Session) =>
  new Command('create')
    .description('make a key and print it; it is shown this once')
    .argument('<name>', 'for people')
    .addOption(
      new Option('--scope <scopes...>', 'what it may do; admin is all of it, in every tenant')
        .choices(scopeSchema.options)
        .makeOptionMandatory(),
    )
    .option('--tenant <name>', 'whose it is')
    .option(
      '--expires <when>',
      'a time such as 2030-01-31T12:00:00Z, or a span such as 90d, 12h or 30min',
      instant,
    )
    .action(async (name: string, { tenant, scope, expires }: CreateOptions) => {
      const request = {
        name,
        scopes: scope,
        ...(tenant !== undefined && { tenant }),
        ...(expires !== undefined && { expiresAt: expires }),
      };
      const created = await session.client.createKey(request, session.signal);
      session.print(created, ({ key }) => key);
      if (!session.json) session.note(`key ${created.id}; it is not shown again`);
    });

const removeCommand = (session: Session) =>
  new Command('rm')
    .description('take keys away: they open nothing any more')
    .argument('<keys...>', 'their ids')
    .action(async (ids: string[]) => {
      const removed = await forEach(session, ids, async (id) => {
        await session.client.deleteKey(id, session.signal);
        return id;
      });
      session.print({ removed }, () => removed.map((id) => `removed ${id}`).join('\n'));
    });
