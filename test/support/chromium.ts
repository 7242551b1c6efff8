import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { afterAll, beforeAll } from 'vitest';

export interface Page {
  /** Loads the address and resolves when all that it refers to is there. */
  open(url: string): Promise<void>;
  /** The value of the expression in the page, a promise's when it is settled; it has to be JSON. */
  evaluate<T>(expression: string): Promise<T>;
  screenshot(path: string): Promise<void>;
  /** What the page's console has said, and what was refused to be loaded, so far. */
  readonly complaints: string[];
  /** The addresses that it has asked. */
  readonly requests: string[];
}

interface Message {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

/** A headless Chromium for all tests of a file. It is told what to do by a pipe, in the DevTools protocol. */
export function useChromium(): Page {
  const complaints: string[] = [];
  const requests: string[] = [];
  const answers = new Map<number, (message: Message) => void>();
  let loaded = () => {};
  let child: ChildProcess;
  let profile: string;
  let sessionId: string | undefined;
  let lastId = 0;

  async function send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    lastId += 1;
    const id = lastId;
    const answered = new Promise<Message>((resolve) => answers.set(id, resolve));
    const message = { id, method, params, ...(sessionId && { sessionId }) };
    (child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    const { result = {}, error } = await answered;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  function hear(message: Message): void {
    const { id, method, params = {} } = message;
    if (id !== undefined) {
      answers.get(id)?.(message);
      return;
    }
    if (method === 'Page.loadEventFired') loaded();
    if (method === 'Network.requestWillBeSent')
      requests.push((params as { request: { url: string } }).request.url);
    if (method === 'Network.loadingFailed') complaints.push(JSON.stringify(params));
    if (method === 'Runtime.exceptionThrown') complaints.push(JSON.stringify(params));
    // What is refused by a policy, is not found, or is deprecated.
    if (method === 'Log.entryAdded') complaints.push(JSON.stringify(params));
    const { type } = params as { type?: string };
    if (method === 'Runtime.consoleAPICalled' && (type === 'error' || type === 'warning'))
      complaints.push(JSON.stringify(params));
  }

  beforeAll(async () => {
    profile = await mkdtemp(join(tmpdir(), 'oncebox-chromium-'));
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe'];
    child = spawn(
      'chromium',
      [...flags, `--user-data-dir=${profile}`, '--window-size=1200,1600', 'about:blank'],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    let text = '';
    (child.stdio[4] as Readable).setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (text + chunk).split('\0');
      text = parts.pop() ?? '';
      for (const part of parts) hear(JSON.parse(part));
    });
    const { targetId } = await send('Target.createTarget', { url: 'about:blank' });
    ({ sessionId } = (await send('Target.attachToTarget', { targetId, flatten: true })) as {
      sessionId: string;
    });
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await send(`${domain}.enable`);
  });
  afterAll(async () => {
    if (child?.exitCode === null) {
      const exited = once(child, 'exit');
      sessionId = undefined;
      await Promise.race([send('Browser.close').catch(() => {}), exited]);
      await exited;
    }
    if (profile) await rm(profile, { recursive: true, force: true, maxRetries: 20 });
  });

  return {
    complaints,
    requests,
    async open(url) {
      const done = new Promise<void>((resolve) => {
        loaded = resolve;
      });
      await send('Page.navigate', { url });
      await done;
    },
    async evaluate<T>(expression: string) {
      const { result, exceptionDetails } = (await send('Runtime.evaluate', {
        expression,
        awaitPromise: true,
        returnByValue: true,
      })) as { result: { value: T }; exceptionDetails?: unknown };
      if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
      return result.value;
    },
    async screenshot(path) {
      const { data } = await send('Page.captureScreenshot', { captureBeyondViewport: false });
      await writeFile(path, Buffer.from(String(data), 'base64'));
    },
  };
}
