import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterEach, beforeEach } from 'vitest';
import type { StoredImage } from '../../runtime/image/image.ts';
import type { ImageTask, Store } from '../../runtime/image/store.ts';
import { StoreError } from '../../runtime/image/store-error.ts';
import type { ImageSummary } from '../../sdk/contract/image.ts';
import { findLanguage } from '../../services/languages/find-language.ts';
import { describe } from '../../services/languages/installed-languages.ts';
import type { Language } from '../../services/languages/language.ts';
import { createLogger } from '../../services/shared/logger.ts';
import { createNodeApi, serveNodeApi } from '../../services/worker/node-api.ts';
import { describedImage } from './images.ts';

export const stored: StoredImage = {
  ...describedImage('localhost/app:1'),
  layers: ['a'.repeat(64)],
  config: {},
  sizeBytes: 10,
};
export const summary: ImageSummary = {
  reference: stored.reference,
  digest: stored.digest,
  created: null,
  sizeBytes: 10,
  sharedBytes: 0,
  uniqueBytes: 10,
  layers: 1,
  sandboxes: 0,
};

const lua = describe(findLanguage('lua') as Language, {
  version: '5.4.4',
  image: { reference: 'localhost/language/lua:5.4.4', digest: stored.digest },
});

export interface TestNodeApi {
  readonly socket: string;
  /** What the store was asked, in order. */
  readonly calls: unknown[][];
  /** What the next long task does; resolves with the image unless set. */
  task: (task: ImageTask, body?: Readable) => Promise<StoredImage>;
  close(): Promise<void>;
}

/** The node API on a socket, over a store that only notes what it is asked. */
export function useNodeApi(socketOf?: () => string): TestNodeApi {
  let directory: string;
  let close: () => Promise<void>;
  const api = { calls: [] as unknown[][] } as { -readonly [K in keyof TestNodeApi]: TestNodeApi[K] };

  function asked<Reply>(name: string, reply: Reply) {
    return async (...args: unknown[]) => {
      api.calls.push([name, ...args]);
      if (args[0] === 'missing') throw new StoreError('image_not_found', 'there is no image "missing"');
      return reply;
    };
  }
  const long =
    (name: string) =>
    (request: unknown, task: ImageTask): Promise<StoredImage> => {
      api.calls.push([name, request]);
      return api.task(task);
    };
  const upload =
    (name: string) =>
    (body: Readable, query: unknown, task: ImageTask): Promise<StoredImage> => {
      api.calls.push([name, query]);
      return api.task(task, body);
    };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'oncebox-test-node-'));
    api.socket = socketOf?.() ?? join(directory, 'node.sock');
    api.calls = [];
    api.task = async () => stored;
    const store = {
      summaries: async () => [{ ...summary, reference: 'localhost/other:1' }, summary],
      inspect: asked('inspect', { ...summary, references: [] }),
      history: asked('history', []),
      diskUsage: asked('diskUsage', { freeBytes: 1 }),
      prune: asked('prune', { images: [], layers: [], blobs: [], freedBytes: 3 }),
      tag: asked('tag', stored),
      remove: asked('remove', { untagged: ['a'], deleted: [], freedBytes: 0 }),
      pull: long('pull'),
      push: long('push'),
      importArchive: upload('import'),
    } as unknown as Store;
    const app = createNodeApi({
      store,
      sandboxes: async () => [{ writableBytes: 2 }, { writableBytes: 3 }],
      build: upload('build'),
      assemble: async (name, version) => {
        api.calls.push(['assemble', name, version]);
        return stored;
      },
      languages: {
        install: (name, task) => {
          api.calls.push(['install', name]);
          return api.task(task).then(() => lua);
        },
        remove: asked('remove language', undefined),
      },
      announced: async () => void api.calls.push(['announced']),
      metrics: async () =>
        '# HELP oncebox_of_node Said by the node.\n# TYPE oncebox_of_node gauge\noncebox_of_node 7\n',
      logger: createLogger('silent', 'test'),
    });
    close = await serveNodeApi(app, api.socket);
    api.close = () => close();
  });
  afterEach(async () => {
    await close();
    await rm(directory, { recursive: true });
  });
  return api;
}
