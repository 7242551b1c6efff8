import type { LookupFunction } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { addressRule } from '../../services/callbacks/address-rules.ts';
import { AddressRefusedError, createPoster, type Poster } from '../../services/callbacks/post.ts';
import { useReceiver } from '../support/receiver.ts';

const receiver = useReceiver();
const made: Poster[] = [];
afterEach(async () => {
  for (const poster of made.splice(0)) await poster.close();
});

function poster(allowed: string, lookup?: LookupFunction): Poster {
  const one = createPoster(addressRule(allowed), lookup, 10 * 60_000);
  made.push(one);
  return one;
}

const post = (to: Poster, url: string) => to.post({ url, headers: { 'x-a': 'b' }, body: '{"a":1}' });

/** Answers as DNS would: there is none here that leads to our receiver. */
const resolvesTo =
  (...addresses: string[]): LookupFunction =>
  (_, __, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );

test('what is sent arrives as it was, and the answer’s status is told', async () => {
  receiver.answer = (_, response) => response.writeHead(418).end('no');
  expect(await post(poster('127.0.0.0/8'), receiver.url('/here?a=1'))).toBe(418);
  expect(receiver.received).toMatchObject([{ path: '/here?a=1', body: '{"a":1}', headers: { 'x-a': 'b' } }]);
});

test.each(['127.0.0.1', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0'])(
  'without leave nothing is sent to this machine as %s',
  async (host) => {
    const port = new URL(receiver.url()).port;
    await expect(post(poster(''), `http://${host}:${port}/`)).rejects.toThrow(AddressRefusedError);
    expect(receiver.received).toEqual([]);
  },
);

test('a name of this machine is looked up, and refused', async () => {
  const url = receiver.url().replace('127.0.0.1', 'localhost');
  await expect(post(poster(''), url)).rejects.toThrow(AddressRefusedError);
  expect(await post(poster('127.0.0.0/8,::1/128'), url)).toBe(204);
});

test('a name with private addresses only is refused, and of several addresses only allowed ones are tried', async () => {
  const url = receiver.url().replace('127.0.0.1', 'receiver.example');
  const metadata = poster('', resolvesTo('169.254.169.254', '10.0.0.1', 'fd00::1'));
  await expect(post(metadata, url)).rejects.toThrow(AddressRefusedError);
  expect(await post(poster('127.0.0.1/32', resolvesTo('10.0.0.1', '127.0.0.1')), url)).toBe(204);
  expect(receiver.received[0]?.headers.host).toBe(new URL(url).host);
});

test('a name that leads elsewhere at the second look has no second look', async () => {
  let looks = 0;
  const rebinding: LookupFunction = (...args) => {
    looks += 1;
    resolvesTo(looks === 1 ? '127.0.0.1' : '10.0.0.1')(...args);
  };
  const url = receiver.url().replace('127.0.0.1', 'receiver.example');
  const to = poster('127.0.0.1/32', rebinding);
  expect(await post(to, url)).toBe(204);
  expect(looks).toBe(1);
  // And no connection of an earlier one is used: the next delivery finds the new address, and it is refused.
  await expect(post(to, url)).rejects.toThrow(AddressRefusedError);
  expect(receiver.received).toHaveLength(1);
});

test('a redirect is an answer, and nobody goes where it leads', async () => {
  receiver.answer = (_, response) => response.writeHead(307, { location: receiver.url('/there') }).end();
  expect(await post(poster('127.0.0.0/8'), receiver.url('/here'))).toBe(307);
  expect(receiver.received.map(({ path }) => path)).toEqual(['/here']);
});

test('an answer without end is not read to its end', async () => {
  let isCut = false;
  receiver.answer = (_, response) => {
    response.writeHead(200);
    const more = setInterval(() => response.write('a'.repeat(16_384)), 1);
    response.once('close', () => {
      isCut = true;
      clearInterval(more);
    });
  };
  expect(await post(poster('127.0.0.0/8'), receiver.url())).toBe(200);
  await expect.poll(() => isCut).toBe(true);
});

test('an aborted delivery ends at once', async () => {
  receiver.answer = () => {};
  const controller = new AbortController();
  const sent = poster('127.0.0.0/8').post({
    ...{ url: receiver.url(), headers: {}, body: '' },
    signal: controller.signal,
  });
  await expect.poll(() => receiver.received.length).toBe(1);
  controller.abort();
  await expect(sent).rejects.toThrow(/abort/);
});
