import { createSocket, type Socket } from 'node:dgram';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createLookUp } from '../../services/callbacks/look-up.ts';

let server: Socket;
let directory: string;
/** Names that the server was asked for. */
let asked: Set<string>;

/** Answers what was not answered yet. */
let answerSlow: () => void;

/** Answers 192.0.2.7: for names that end in `.slow` when it is told to. */
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oncebox-look-up-'));
  asked = new Set();
  server = createSocket('udp4');
  server.on('message', (query, { port, address }) => {
    const { name, end } = questionOf(query);
    asked.add(name);
    const answer = () => server.send(answerTo(query, end), port, address);
    if (name.endsWith('.slow')) held.push(answer);
    else answer();
  });
  const held: (() => void)[] = [];
  answerSlow = () => {
    for (const answer of held.splice(0)) answer();
  };
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  server.close();
  await rm(directory, { recursive: true });
});

/** RFC 1035, 4.1: a header of 12 bytes, then the name as labels, type and class. */
function questionOf(query: Buffer): { name: string; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 5 };
}

function answerTo(query: Buffer, end: number): Buffer {
  const question = query.subarray(12, end);
  const isA = question.readUInt16BE(question.length - 4) === 1;
  const header = Buffer.from([...query.subarray(0, 2), 0x81, 0x80, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0]);
  // The name of the question, A, IN, a second, four bytes.
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 7]);
  return Buffer.concat([header, question, ...(isA ? [record] : [])]);
}

function lookUp(name: string, hosts = ''): Promise<LookupAddress[]> {
  const path = join(directory, 'hosts');
  const look = createLookUp({ servers: [`127.0.0.1:${server.address().port}`], hostsFile: path });
  return writeFile(path, hosts).then(
    () =>
      new Promise((resolve, reject) => {
        look(name, { all: true }, (error, found) =>
          error ? reject(error) : resolve(found as LookupAddress[]),
        );
      }),
  );
}

test('names whose servers are slow delay no other', async () => {
  const slow = Array.from({ length: 64 }, (_, n) => lookUp(`name-${n}.slow`));
  await vi.waitFor(() => expect(asked.size).toBe(64), { timeout: 60_000 });
  expect(await lookUp('one.answers')).toEqual([{ address: '192.0.2.7', family: 4 }]);
  answerSlow();
  await Promise.allSettled(slow);
});

test('a name of the hosts file has its addresses, and DNS is not asked', async () => {
  const hosts = '# ours\n10.0.0.1 Receiver alias # one\nfd00::1\treceiver\nnot-an-address receiver\n';
  expect(await lookUp('receiver.', hosts)).toEqual([
    { address: '10.0.0.1', family: 4 },
    { address: 'fd00::1', family: 6 },
  ]);
  expect(await lookUp('ALIAS', hosts)).toEqual([{ address: '10.0.0.1', family: 4 }]);
  expect(asked.size).toBe(0);
});

test.each(['localhost', 'a.localhost', 'LOCALHOST.'])(
  '%s is this machine, whoever says otherwise',
  async (name) => {
    expect((await lookUp(name)).map(({ address }) => address)).toEqual(['127.0.0.1', '::1']);
    expect(asked.size).toBe(0);
  },
);
