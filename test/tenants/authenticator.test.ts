import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createUndoStack, type UndoStack } from '../../services/shared/shutdown.ts';
import { newApiKey } from '../../services/tenants/api-key.ts';
import { type Authenticator, openAuthenticator } from '../../services/tenants/authenticator.ts';
import { createKeyStore, type KeyStore } from '../../services/tenants/key-store.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
const patience = { timeout: 60_000, interval: 5 };
let undo: UndoStack;
let keys: KeyStore;
/** Of two gateways. */
let one: Authenticator;
let other: Authenticator;

beforeEach(async () => {
  undo = createUndoStack();
  keys = createKeyStore(redis.redis);
  [one, other] = [await open(keys), await open(keys)];
});
afterEach(() => undo.run());

async function open(from: Pick<KeyStore, 'find'>, adminKey?: string): Promise<Authenticator> {
  const subscriber = redis.connect();
  undo.push(() => subscriber.disconnect());
  const opened = await openAuthenticator({ keys: from, subscriber, adminKey });
  undo.push(() => opened.close());
  return opened;
}

/** What is remembered is so however slow the machine is: nobody looks again because a time is over. */
function stopClock(): void {
  const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now());
  undo.push(() => clock.mockRestore());
}

const ours = { name: 'ci', tenant: 'acme', scopes: ['invoke', 'read'] as const };

test('a key says whose it is and what it may do, at every gateway', async () => {
  const { id, key } = await keys.create(ours);
  const identity = { tenant: 'acme', scopes: new Set(['invoke', 'read']), keyId: id };
  expect(await one.identify(key)).toEqual(identity);
  expect(await other.identify(key)).toEqual(identity);
});

test('what is at rest opens nothing: the key is not in it, nor does its hash open', async () => {
  const { id, key } = await keys.create(ours);
  const secret = key.slice(key.lastIndexOf('_') + 1);
  const stored = JSON.stringify(await redis.redis.hgetall('oncebox:api-keys'));
  expect(stored).toContain(id);
  expect(stored).not.toContain(secret);
  const [, sha256 = ''] = /"sha256\\*":\\*"([0-9a-f]{64})/.exec(stored) ?? [];
  expect(sha256).not.toBe('');
  expect(await one.identify(`ocb_${id}_${sha256}`)).toBeUndefined();
});

test("a wrong secret, another key's secret, an unknown id and what is no key open nothing", async () => {
  const { key, id } = await keys.create(ours);
  const another = await keys.create(ours);
  const secretOfOther = another.key.slice(another.key.lastIndexOf('_') + 1);
  const wrong = key.slice(0, -1) + (key.endsWith('0') ? '1' : '0');
  for (const text of [
    wrong,
    `ocb_${id}_${secretOfOther}`,
    newApiKey().key,
    '',
    'ocb',
    `ocb_${id}_`,
    `${key} `,
  ])
    expect(await one.identify(text), text).toBeUndefined();
  expect(await one.identify(key)).toBeDefined();
});

test('a key that was used just now is not asked for again, and many at once are asked for once', async () => {
  stopClock();
  const { key } = await keys.create(ours);
  const find = vi.fn(keys.find);
  const counted = await open({ find });
  await Promise.all(Array.from({ length: 20 }, () => counted.identify(key)));
  await counted.identify(key);
  expect(find).toHaveBeenCalledTimes(1);
});

test('a deleted key opens nothing any more, at once where it was deleted and soon elsewhere', async () => {
  stopClock();
  const { key, id } = await keys.create(ours);
  expect([await one.identify(key), await other.identify(key)]).not.toContain(undefined);
  await keys.delete(id);
  one.forget(id);
  expect(await one.identify(key)).toBeUndefined();
  await vi.waitFor(async () => expect(await other.identify(key)).toBeUndefined(), patience);
  await expect(keys.delete(id)).rejects.toMatchObject({ code: 'key_not_found' });
});

test('a key that is deleted while its record is being read is not remembered', async () => {
  const { key, id } = await keys.create(ours);
  let answer = () => {};
  const asked = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const slow = await open({
    async find(wanted) {
      const found = await keys.find(wanted);
      await asked;
      return found;
    },
  });
  const first = slow.identify(key);
  await keys.delete(id);
  slow.forget(id);
  answer();
  await first;
  expect(await slow.identify(key)).toBeUndefined();
});

test('a key opens until it expires, and not from then on, remembered or not', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  undo.push(() => vi.useRealTimers());
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const { key } = await keys.create({ ...ours, expiresAt });
  expect(await one.identify(key)).toBeDefined();
  vi.setSystemTime(Date.parse(expiresAt) - 1);
  expect(await one.identify(key)).toBeDefined();
  vi.setSystemTime(Date.parse(expiresAt));
  expect(await one.identify(key)).toBeUndefined();
  expect(await other.identify(key)).toBeUndefined();
});

test('the admin key opens all without a record, and no other secret under its id does', async () => {
  const adminKey = `ocb_admin_${'a'.repeat(40)}`;
  const withAdmin = await open(keys, adminKey);
  expect(await withAdmin.identify(adminKey)).toEqual({
    tenant: 'default',
    scopes: new Set(['admin']),
    keyId: 'admin',
  });
  expect(await withAdmin.identify(`ocb_admin_${'b'.repeat(40)}`)).toBeUndefined();
  expect(await one.identify(adminKey)).toBeUndefined();
});

test('keys are listed by age, of a tenant or of all, without what opens', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  undo.push(() => vi.useRealTimers());
  await keys.create(ours);
  vi.setSystemTime(Date.now() + 1);
  await keys.create({ name: 'other', tenant: 'zeta', scopes: ['admin'] });
  expect((await keys.list()).map(({ name }) => name)).toEqual(['ci', 'other']);
  const [only, ...more] = await keys.list('zeta');
  expect(more).toEqual([]);
  expect(Object.keys(only ?? {}).sort()).toEqual(['createdAt', 'id', 'name', 'scopes', 'tenant']);
});
