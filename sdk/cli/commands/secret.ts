import { isUtf8 } from 'node:buffer';
import { Command } from 'commander';
import { CliError } from '../cli-error.ts';
import { forEach } from '../for-each.ts';
import { ago, size, table } from '../format.ts';
import { readBytes } from '../read-stdin.ts';
import type { Session } from '../session.ts';

export const secretCommand = (session: Session) =>
  new Command('secret')
    .addCommand(listCommand(session), { isDefault: true })
    .addCommand(setCommand(session))
    .addCommand(removeCommand(session));

const listCommand = (session: Session) =>
  new Command('ls').description('list secrets, without their values').action(async () => {
    const secrets = await session.client.secrets(session.signal);
    session.print(secrets, () =>
      table(
        ['SECRET', 'SIZE', 'VERSION', 'UPDATED'],
        secrets.map((one) => [one.name, size(one.sizeBytes), `${one.version}`, ago(one.updatedAt)]),
      ),
    );
  });

/** No argument for the value: everybody on the machine can read a command line, and shells keep it. */
const setCommand = (session: Session) =>
  new Command('set')
    .description('keep what standard input says as a secret, which nobody can read back')
    .argument('<secret>', 'its name; one that is there already is replaced')
    .option('--keep-newline', 'keep the end of the last line, which is left out of a text otherwise')
    .addHelpText('after', example)
    .action(async (name: string, { keepNewline = false }: { keepNewline?: boolean }) => {
      const { client, io, signal } = session;
      if (io.stdin.isTTY)
        throw new CliError('cannot read a secret from a terminal, which shows it: use < or a pipe', 2);
      const read = await readBytes(io);
      const bytes = isUtf8(read) && !keepNewline ? withoutNewline(read) : read;
      if (bytes.length === 0)
        throw new CliError(`cannot keep ${name}: there is nothing in standard input`, 2);
      const secret = await client.putSecret(name, { base64: bytes.toString('base64') }, signal);
      session.print(secret, ({ sizeBytes, version }) => `${name}, version ${version}: ${size(sizeBytes)}`);
    });

const removeCommand = (session: Session) =>
  new Command('rm')
    .description('remove secrets; calls of functions that name them are refused from then on')
    .argument('<secrets...>')
    .action(async (names: string[]) => {
      const removed = await forEach(session, names, async (name) => {
        await session.client.deleteSecret(name, session.signal);
        return name;
      });
      session.print({ removed }, () => removed.map((name) => `removed ${name}`).join('\n'));
    });

const example = `
For instance:
  oncebox secret set API_TOKEN < token.txt
  oncebox deploy --secret API_TOKEN       its calls find it in /run/secrets/API_TOKEN`;

function withoutNewline(text: Buffer): Buffer {
  const end = text.length - (text.at(-1) !== 0x0a ? 0 : text.at(-2) === 0x0d ? 2 : 1);
  return text.subarray(0, end);
}
