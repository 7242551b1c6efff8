import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { type ChildSpec, Supervised } from '../../services/up/supervised.ts';

const patience = { timeout: 60_000, interval: 20 };
const children: Supervised<unknown>[] = [];
afterEach(() => Promise.all(children.splice(0).map((child) => child.stop({ force: true }))));

function supervised(spec: Partial<ChildSpec<void>>): Supervised<void> {
  const child = new Supervised<void>({
    name: 'sleeper',
    command: () => ({ file: 'sleep', args: ['60'], env: { PATH: process.env.PATH } }),
    hasIpc: false,
    ready: async () => {},
    pulse: async () => {},
    stopTimeoutMs: 1_000,
    onLine: () => {},
    onEvent: () => {},
    ...spec,
  });
  children.push(child);
  return child;
}

test('a child that lives and does not come to serve is ended with its start', async () => {
  let pid: number | undefined;
  const child = supervised({
    ready: async (process) => {
      pid = process.pid;
      throw new Error('it answers with an error');
    },
  });
  await expect(child.start()).rejects.toThrow('it answers with an error');
  expect(() => process.kill(pid ?? 0, 0)).toThrow('ESRCH');
});

test('a child that crashes again and again is back within about a second', async () => {
  // Who lives for long is healthy, and on a busy machine that is soon: here no time passes between start and crash.
  vi.spyOn(performance, 'now').mockReturnValue(0);
  onTestFinished(() => void vi.restoreAllMocks());
  const delays: string[] = [];
  const child = supervised({ onEvent: (text) => delays.push(text) });
  await child.start();
  for (let crash = 0; crash < 6; crash++) {
    const { pid } = child;
    process.kill(pid ?? 0, 'SIGKILL');
    await vi.waitFor(() => expect(child.pid).not.toBe(pid), patience);
    await vi.waitFor(() => expect(delays.at(-1)).toBe('sleeper is back'), patience);
  }
  const waits = delays.flatMap((text) => /again in (\d+) ms/.exec(text)?.[1] ?? []);
  expect(waits.map(Number)).toEqual([200, 400, 800, 1000, 1000, 1000]);
});
