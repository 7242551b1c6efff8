import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { useRegistry } from '../support/registry.ts';
import { makeImage, makeLayer, run, useTask, writeLayout } from './make-image.ts';
import { useStore } from './use-store.ts';

const auth = { username: 'ann', password: 'sécret "word"' };
const guarded = useRegistry({ auth });
const encrypted = useRegistry({ tls: true });
const app = makeImage([makeLayer([{ path: 'app', data: 'one' }])]);

describe('a registry with credentials', () => {
  test('refuses none and wrong ones, and takes the right ones, for push and for pull', async () => {
    const { dir, store } = await useStore();
    await addLocal(dir, store);
    const target = `${guarded.host()}/app:1`;
    const refused = { code: 'registry_failed', message: expect.stringContaining('credentials') };
    for (const wrong of [undefined, { ...auth, password: 'no' }]) {
      const push = store.push({ source: 'app', target, insecure: true, auth: wrong }, useTask());
      await expect(push).rejects.toMatchObject(refused);
    }
    const pushed = await store.push({ source: 'app', target, insecure: true, auth }, useTask());
    expect(pushed.digest).toBe(app.digest);
    for (const wrong of [undefined, { ...auth, password: 'no' }]) {
      const pull = store.pull({ reference: target, insecure: true, auth: wrong }, useTask());
      await expect(pull).rejects.toMatchObject(refused);
    }
    const fresh = await useStore();
    const image = await fresh.store.pull({ reference: target, insecure: true, auth }, useTask());
    expect(image.digest).toBe(app.digest);
    expect((await fresh.content()).scratch).toEqual([]);
  });
});

describe('a registry with a certificate that nobody signed', () => {
  test('is refused, and taken when that is asked for', async () => {
    const { dir, store } = await useStore();
    await addLocal(dir, store);
    const target = `${encrypted.host()}/app:1`;
    const refused = { code: 'registry_failed', message: expect.stringContaining('"insecure"') };
    await expect(store.push({ source: 'app', target, insecure: false }, useTask())).rejects.toMatchObject(
      refused,
    );
    await store.push({ source: 'app', target, insecure: true }, useTask());
    await expect(store.pull({ reference: target, insecure: false }, useTask())).rejects.toMatchObject(
      refused,
    );
    expect((await store.pull({ reference: target, insecure: true }, useTask())).digest).toBe(app.digest);
  });
});

async function addLocal(dir: string, store: Awaited<ReturnType<typeof useStore>>['store']): Promise<void> {
  await writeLayout(join(dir, 'made'), { app });
  await run('tar', ['-cf', join(dir, 'made.tar'), '-C', join(dir, 'made'), '.']);
  await store.importArchive(createReadStream(join(dir, 'made.tar')), {}, useTask());
}
