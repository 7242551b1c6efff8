import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll } from 'vitest';

interface PageServer {
  readonly origin: string;
  /** The same server by another name, which is another origin. */
  readonly otherOrigin: string;
  /** What the module gives to `report`, in a page of that origin in a headless Chromium. */
  run(origin: string, module: string): Promise<unknown>;
}

/** Serves one page, and is told by it how it went. */
export function usePage(): PageServer {
  let module = '';
  let told: (result: unknown) => void = () => {};
  const server = createServer(async (request, response) => {
    if (request.method === 'POST') told(JSON.parse(await text(request)));
    const isModule = request.url === '/module.js';
    const page =
      '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/module.js"></script>';
    const report = `const report = (result) => fetch('/', { method: 'POST', body: JSON.stringify(result) });`;
    response
      .setHeader('content-type', isModule ? 'text/javascript' : 'text/html')
      .end(isModule ? `${report}\n${module}` : page);
  });
  const origin = (host: string) => `http://${host}:${(server.address() as AddressInfo).port}`;
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    get origin() {
      return origin('127.0.0.1');
    },
    get otherOrigin() {
      return origin('localhost');
    },
    async run(address, given) {
      module = given;
      const result = new Promise((resolve) => {
        told = resolve;
      });
      const profile = await mkdtemp(join(tmpdir(), 'oncebox-page-'));
      const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${profile}`];
      const browser = spawn('chromium', [...flags, '--remote-debugging-pipe', address], {
        // It ends when the pipe that it is told by does.
        stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      });
      const ended = once(browser, 'exit');
      try {
        return await Promise.race([
          result,
          ended.then(([code]) => Promise.reject(new Error(`chromium ended with ${code}`))),
        ]);
      } finally {
        browser.kill();
        await ended.catch(() => {});
        // Its other processes may be writing still.
        await rm(profile, { recursive: true, force: true, maxRetries: 20 });
      }
    },
  };
}
