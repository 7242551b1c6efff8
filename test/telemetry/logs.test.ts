import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { testConfig } from '../support/platform.ts';

const levels = { debug: 20, info: 30 };
/** Of a line on its way here, milliseconds. */
const patience = 60_000;
const lines: Record<string, unknown>[] = [];
let text = '';
let platform: Platform;

beforeAll(async () => {
  const config = {
    ...(await testConfig({ ONCEBOX_DEFAULT_LIMITS: 'wallMs=60000' })),
    ONCEBOX_LOG_LEVEL: 'debug' as const,
  };
  const line = (_: string, logged: string) => {
    text += `${logged}\n`;
    if (logged.startsWith('{')) lines.push(JSON.parse(logged));
  };
  platform = await startPlatform(config, { log: { step() {}, event() {}, line } });
});
afterAll(async () => {
  await platform?.close();
  if (platform) await rm(platform.config.ONCEBOX_DATA_DIR, { recursive: true });
});

const run = async (body: object, headers: Record<string, string> = {}) => {
  const response = await fetch(`${platform.url}/v1/run`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  const { id } = (await response.json()) as { id: string };
  return { id, requestId: response.headers.get('oncebox-request-id') };
};
const linesOf = (id: string) => lines.filter(({ invocationId }) => invocationId === id);

test('an invocation has one line of what became of it, with all that names it', async () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const { id, requestId } = await run({ runtime: 'node', code: 'process.exit(3)' }, { traceparent });
  const about = () => linesOf(id).filter(({ level }) => level === levels.info);
  await vi.waitFor(() => expect(about()).toHaveLength(1), patience);
  expect(about()[0]).toMatchObject({
    service: 'worker',
    msg: 'invocation',
    requestId,
    sandboxId: expect.stringMatching(/^[0-9a-z-]+$/),
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    runtime: 'node',
    outcome: 'exited',
    start: 'warm',
    queueMs: expect.any(Number),
    runMs: expect.any(Number),
  });
});

test('every line of gateway and worker about it names it, and the request where there is one', async () => {
  const { id, requestId } = await run({ runtime: 'bash', code: 'true' });
  const linesOfRequest = () => lines.filter((line) => line.requestId === requestId);
  const services = () => new Set(linesOfRequest().map(({ service }) => service));
  // Each comes through a pipe of its own.
  await vi.waitFor(() => expect(services()).toEqual(new Set(['gateway', 'worker'])), patience);
  const ofRequest = linesOfRequest();
  for (const line of ofRequest) expect(line.invocationId).toBe(id);
  // Nobody traces this one.
  for (const line of ofRequest) expect(line).not.toHaveProperty('traceId');
});

test('nothing of what a program is given, or says, is in the log', async () => {
  const secret = (place: string) => `secret-in-${place}`;
  const { id } = await run({
    runtime: 'bash',
    code: `echo ${secret('stdout')}; echo ${secret('stderr')} >&2; cat; exit 1`,
    stdin: secret('stdin'),
    env: { TOKEN: secret('env') },
    args: [secret('args')],
  });
  await vi.waitFor(() => expect(linesOf(id).some(({ msg }) => msg === 'invocation')).toBe(true), patience);
  expect(text).toContain(id);
  expect(text).not.toContain('secret-in-');
});
