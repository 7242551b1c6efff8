import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makePackageImage } from '../../runtime/image/packages/package-image.ts';
import type { Store } from '../../runtime/image/store.ts';
import { describedImage } from '../support/images.ts';

test('a mirror that is not there is said, and nothing is left', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-packages-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await mkdir(join(directory, 'layers'));
  const base = { ...describedImage('localhost/bash:latest'), layers: [], config: {}, sizeBytes: 0 };
  const store = { layersDir: join(directory, 'layers'), resolve: async () => base } as unknown as Store;
  const steps: string[] = [];
  const made = makePackageImage({
    store,
    launcherSocket: '/nowhere',
    base: 'localhost/bash:latest',
    packages: ['lua5.4'],
    setup: [],
    name: 'localhost/language-unfinished/lua',
    // Port 9 discards what it is sent, where anybody listens at all.
    sources: ['deb [trusted=yes] http://127.0.0.1:9/debian bookworm main'],
    onEvent: (event) => event.type === 'step' && steps.push(event.step),
    signal: new AbortController().signal,
  });
  await expect(made).rejects.toMatchObject({
    code: 'packages_failed',
    message: expect.stringContaining('127.0.0.1:9'),
  });
  expect(steps).toEqual(['resolve']);
  expect(await readdir(join(directory, 'scratch'))).toEqual([]);
});
