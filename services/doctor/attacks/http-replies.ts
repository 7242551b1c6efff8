import type { Attack } from './attack.ts';
import { deployProgram } from './functions.ts';
import type { Ground } from './ground.ts';
import { type RawReply, rawExchange } from './send-text.ts';
import { must } from './verdict.ts';

const group = 'http-replies';
const program = 'forge-response.mjs';
const ways = ['returned', 'written', 'streamed'] as const;
type Headers = [string, string][];

async function replyOf(ground: Ground, how: (typeof ways)[number], headers: Headers): Promise<RawReply> {
  const query = new URLSearchParams({ how, headers: JSON.stringify(headers) });
  const head = `GET /fn/forge-response/?${query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
  return rawExchange(ground, (socket) => socket.write(head), 2 * ground.netMs);
}

function deploy(ground: Ground): Promise<void> {
  return deployProgram(ground, 'forge-response', program);
}

/** What can be said is said, by each way: so the ways are there. */
async function saysWhatItMay(ground: Ground): Promise<void> {
  await deploy(ground);
  for (const how of ways) {
    const { status, text } = await replyOf(ground, how, [['x-mine', 'honest']]);
    must(status === 200 && /^x-mine: honest\r$/m.test(text), `a header that is ${how} does not arrive`, text);
  }
}

const splitting: Attack = {
  id: 'http-splitting',
  group,
  title:
    'a reply of /fn with CR, LF and NUL in names and values of headers, returned, and written to the channel of the result',
  must: 'one reply and no header of theirs: an error, or without it',
  async attack(ground) {
    await deploy(ground);
    const second = 'HTTP/1.1 200 OK\r\nSet-Cookie: evil=1\r\n\r\nsecond';
    const evil: Headers[] = [
      [['x-mine', 'a\r\nSet-Cookie: evil=1']],
      [['x-mine', 'a\nSet-Cookie: evil=1']],
      [['x-mine', 'a\rSet-Cookie: evil=1\0']],
      [['x-mine', `a\r\n\r\n${second}`]],
      [['x-mine: a\r\nSet-Cookie', 'evil=1']],
      // By characters that a careless conversion to bytes makes CR and LF of.
      [['x-mine', 'a\u010d\u010aSet-Cookie: evil=1']],
      // A length that ends the reply early makes what follows another one.
      [
        ['content-length', '0'],
        ['transfer-encoding', 'chunked'],
      ],
    ];
    for (const how of ways) {
      for (const headers of evil) {
        const { text } = await replyOf(ground, how, headers);
        const replies = text.match(/^HTTP\/1\.1 /gm)?.length ?? 0;
        const isSplit = replies !== 1 || /^set-cookie/im.test(text) || /^content-length: 0\r$/im.test(text);
        must(!isSplit, `${how}: ${JSON.stringify(headers)}`, text.slice(0, 500));
      }
    }
  },
  control: saysWhatItMay,
};

const platform: Attack = {
  id: 'http-platform-headers',
  group,
  title:
    "a reply of /fn with the platform's own headers, by every way and in capitals: ids, start, version, timings",
  must: "the platform's own and no other, and the id is that of the call",
  async attack(ground) {
    await deploy(ground);
    const names = ['invocation-id', 'start', 'function-version', 'request-id', 'anything'];
    const forged = names.flatMap(
      (name): Headers => [
        [`oncebox-${name}`, 'forged'],
        [`OnceBox-${name.toUpperCase()}`, 'forged'],
      ],
    );
    for (const how of ways) {
      const { status, text } = await replyOf(ground, how, forged);
      must(status === 200 && !/^oncebox-[^\n]*forged/im.test(text), `${how}: forged`, text.slice(0, 1_000));
      const id = /^oncebox-invocation-id: (\S+)\r$/im.exec(text)?.[1] ?? '';
      const { function: called } = await ground.client.invocation(id);
      must(called?.name === 'forge-response', `${how}: the id is of another`, called);
    }
  },
  control: saysWhatItMay,
};

export const httpReplyAttacks: readonly Attack[] = [splitting, platform];
