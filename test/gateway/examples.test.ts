import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { allExamples } from '../../services/gateway/openapi/examples/all.ts';
import type { Example } from '../../services/gateway/openapi/examples/example.ts';
import { type Platform, startPlatform } from '../../services/up/platform.ts';
import { writeOciArchive } from '../support/oci-archive.ts';
import { ownStoreConfig } from '../support/platform.ts';
import { useRegistry } from '../support/registry.ts';
import { openReplyChecker, type ReplyChecker } from './openapi/reply-checker.ts';
import { expectLines, expectSame, type Names, renamed } from './openapi/same-reply.ts';

interface Operation {
  operationId: string;
  parameters?: { name: string; in: 'path' | 'query' | 'header' }[];
  responses: Record<string, { content?: Record<string, unknown> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
}

const run = promisify(execFile);
const registry = useRegistry();
const names: Names = new Map();
const asked = new Map<string, Promise<void>>();
/** The replies that go on while other examples are asked. */
const conversations: Promise<void>[] = [];
let platform: Platform;
let uploads: string;
let document: Document;
let checker: ReplyChecker;

beforeAll(async () => {
  const config = await ownStoreConfig();
  platform = await startPlatform(config, { log: { step() {}, event() {}, line() {} } });
  document = (await (await fetch(`${platform.url}/openapi.json`)).json()) as Document;
  checker = openReplyChecker(document);
  uploads = await makeUploads();
  names.set('registry.example.com', registry.host());
});
afterAll(async () => {
  await checker?.close();
  await platform?.close();
  if (platform) await rm(platform.config.ONCEBOX_DATA_DIR, { recursive: true });
  if (uploads) await rm(uploads, { recursive: true });
});

test('every operation has an example, and every example an operation', () => {
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  expect(Object.keys(allExamples).sort()).toEqual(operations.map(({ operationId }) => operationId).sort());
  for (const [operationId, examples] of Object.entries(allExamples)) {
    expect(examples.length, operationId).toBeGreaterThan(0);
    expect(new Set(examples.map(({ name }) => name)).size, operationId).toBe(examples.length);
  }
});

test('every operation that replies with JSON shows a reply', () => {
  for (const { operationId, responses } of Object.values(document.paths).flatMap((path) =>
    Object.values(path),
  )) {
    const replies = Object.entries(responses).filter(([status]) => status < '300');
    const isShown = replies.some(([, { content }]) => content?.['application/json']);
    // This one's reply is the document.
    if (!isShown || operationId === 'getDocument') continue;
    const shown = allExamples[operationId]?.filter(
      ({ status, reply }) => status < 300 && reply !== undefined,
    );
    expect(shown, operationId).not.toEqual([]);
  }
});

describe.each(Object.entries(allExamples))('%s', (operationId, examples) => {
  test.each(examples)('$name: $summary', ({ name }) => ask(`${operationId}/${name}`));
});

test('whoever was talked to has ended as its example says', async () => {
  await Promise.all(conversations);
});

/** Once each: examples that others come after may have been asked for those. */
function ask(reference: string): Promise<void> {
  const asking = asked.get(reference) ?? sendExample(reference);
  asked.set(reference, asking);
  return asking;
}

async function sendExample(reference: string): Promise<void> {
  const [operationId = '', name] = reference.split('/');
  const example = allExamples[operationId]?.find((one) => one.name === name);
  if (!example) throw new Error(`there is no example ${reference}`);
  for (const earlier of example.after ?? []) await ask(earlier);
  const request = requestOf(operationId, example);
  if (example.once) await reachStatus(request.url, example.once);
  const send = async () =>
    fetch(request.url, { redirect: 'manual', ...request.init, body: await bodyOf(example) });
  const complaints: string[] = [];
  if (example.interactiveId !== undefined) await converse(operationId, example, await send(), complaints);
  // What a request has made, others may still be about to hear of.
  else if (request.init.method === 'GET')
    await vi.waitFor(async () => expectReply(operationId, example, await send(), complaints), 60_000);
  else await expectReply(operationId, example, await send(), complaints);
  expect(complaints).toEqual([]);
}

async function converse(
  operationId: string,
  example: Example,
  response: Response,
  complaints: string[],
): Promise<void> {
  expect(response.status).toBe(example.status);
  names.set(example.interactiveId ?? '', response.headers.get('oncebox-invocation-id') ?? '');
  const [heard, whole] = response.body?.tee() ?? [];
  const reply = expectReply(operationId, example, new Response(whole ?? null, response), complaints).then(
    () => expect(complaints).toEqual([]),
  );
  reply.catch(() => {});
  conversations.push(reply);
  let text = '';
  for await (const chunk of heard?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    if (text.includes(example.heard ?? '')) return;
  }
  throw new Error(`nothing is heard of ${example.heard}: ${text}`);
}

/** What is wrong with the reply by the document is added to the complaints. */
async function expectReply(
  operationId: string,
  example: Example,
  response: Response,
  complaints: string[],
): Promise<void> {
  const text = await response.text();
  const mediaType = response.headers.get('content-type')?.split(';')[0] ?? null;
  const body = mediaType === 'application/json' ? JSON.parse(text) : text;
  complaints.push(...(await checker.complaints({ operationId, status: response.status, mediaType, body })));
  expect(response.status, text).toBe(example.status);
  if (mediaType?.startsWith('text/') && typeof example.reply === 'string') expectLines(example.reply, text);
  else if (example.reply !== undefined) expectSame(renamed(example.reply, names), body, names);
}

function requestOf(operationId: string, example: Example) {
  const { parameters = {}, mediaType = 'application/json' } = example;
  const [path, method = '', operation] =
    Object.entries(document.paths)
      .flatMap(([path, methods]) => Object.entries(methods).map((entry) => [path, ...entry] as const))
      .find(([, , one]) => one.operationId === operationId) ?? [];
  if (!path) throw new Error(`there is no operation ${operationId}`);
  const url = new URL(
    path.replaceAll(/\{(\w+)\}/g, (_, name) => parameterOf(name)),
    platform.url,
  );
  const headers: Record<string, string> = {};
  for (const name of Object.keys(parameters)) {
    const place = operation?.parameters?.find((one) => one.name === name)?.in;
    expect(place, `the parameter ${name} of ${operationId}`).toBeDefined();
    if (place === 'query') url.searchParams.set(name, parameterOf(name));
    if (place === 'header') headers[name] = parameterOf(name);
  }
  if (hasBody(example)) headers['content-type'] = mediaType;
  return { url, init: { method: method.toUpperCase(), headers } };

  function parameterOf(name: string): string {
    const value = parameters[name];
    if (value === undefined) throw new Error(`the example has no ${name}`);
    return renamed(value, names);
  }
}

function hasBody({ body, upload }: Example): boolean {
  return body !== undefined || upload !== undefined;
}

async function bodyOf({ body, mediaType, upload }: Example) {
  if (upload) return new Uint8Array(await readFile(join(uploads, upload)));
  if (body === undefined) return null;
  return mediaType === undefined ? JSON.stringify(renamed(body, names)) : String(body);
}

async function reachStatus(invocation: URL, status: string): Promise<void> {
  await vi.waitFor(
    async () => expect((await (await fetch(invocation)).json()) as object).toMatchObject({ status }),
    60_000,
  );
}

/** The files that examples send. */
async function makeUploads(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-examples-'));
  const file = (name: string, text: string) => writeFile(join(directory, name), text);
  const pack = (archive: string, ...files: string[]) =>
    run('tar', ['-caf', join(directory, archive), '-C', directory, ...files]);
  await file(
    'index.py',
    'def handler(event, context):\n    return {"greeting": "Hello, " + event["name"] + "!"}\n',
  );
  await pack('hello.tar.gz', 'index.py');
  await file('Dockerfile', 'FROM scratch\nCOPY motto.txt /\n');
  await file('motto.txt', 'never reused\n');
  await pack('context.tar', 'Dockerfile', 'motto.txt');
  const root = await mkdtemp(join(directory, 'root-'));
  await writeFile(join(root, 'motto.txt'), 'never reused\n');
  await writeOciArchive(join(directory, 'motto.tar'), { root, reference: 'latest', config: {} });
  return directory;
}
