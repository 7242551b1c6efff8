import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { realpath } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { StoreError } from './store-error.ts';

const patienceMs = 3000;

export interface WriterLock {
  /** Resolves with what lets it go. In one process any number hold it at once. Rejects when another process has it. */
  hold(): Promise<() => void>;
}

/**
 * At most one process changes a store at a time; any number read it. The lock is an abstract Unix socket (unix(7)),
 * named by the store's path: the kernel lets it go when its holder ends, however that ends. Held for the length of an
 * operation, so that platforms which share a store can take turns; a short operation elsewhere is waited for.
 */
export function createWriterLock(storeDir: string): WriterLock {
  let holders = 0;
  let taken: Promise<Server> | undefined;

  return {
    async hold() {
      holders += 1;
      try {
        taken ??= take(storeDir);
        await taken;
      } catch (error) {
        release();
        throw error;
      }
      let isHeld = true;
      return () => {
        if (isHeld) release();
        isHeld = false;
      };
    },
  };

  function release(): void {
    holders -= 1;
    if (holders > 0) return;
    taken?.then((server) => server.close()).catch(() => {});
    taken = undefined;
  }
}

async function take(storeDir: string): Promise<Server> {
  const name = createHash('sha256')
    .update(await realpath(storeDir))
    .digest('hex')
    .slice(0, 32);
  const path = `\0oncebox-store-${name}`;
  for (const started = performance.now(); ; ) {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(`${process.pid}`);
    });
    try {
      server.listen(path);
      await once(server, 'listening');
      return server.unref();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
    if (performance.now() - started > patienceMs) {
      const owner = await ownerOf(path);
      throw new StoreError(
        'image_in_use',
        `cannot change the image store ${storeDir}: another process${owner} is changing it; try again when it has finished`,
      );
    }
    await delay(50);
  }
}

async function ownerOf(path: string): Promise<string> {
  try {
    let pid = '';
    for await (const chunk of connect(path)) pid += chunk;
    return ` (${pid})`;
  } catch {
    return '';
  }
}
