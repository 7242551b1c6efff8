import { expect } from 'vitest';

/** What has another value each time. */
const varying = new Set([
  ...['id', 'invocationId', 'digest', 'codeLayer', 'createdAt', 'created', 'startedAt', 'timings', 'usage'],
  ...['start', 'init', 'stack', 'node', 'pid', 'concurrency', 'isolations', 'sizeBytes', 'freedBytes'],
  ...['sharedBytes', 'uniqueBytes', 'sandboxes', 'virtualBytes', 'writableBytes', 'memoryBytes', 'ageMs'],
  ...['memoryPeakBytes', 'diffId', 'blobDigest', 'blobBytes', 'layer', 'manifest', 'count', 'bytes'],
  ...['reclaimableBytes', 'freeBytes', 'updatedAt', 'nextRunAt', 'diedAt', 'previousUntil', 'secret', 'key'],
]);
/** What others add to while we look: all that the example has is to be there. */
const lists = new Set([
  ...['functions', 'images', 'layers', 'blobs', 'sandboxes', 'nodes', 'invocations', 'deadLetters'],
  ...['schedules', 'keys', 'tenants', 'secrets', 'aliases', 'languages'],
]);

/** What the examples call it, and what it is here. */
export type Names = Map<string, string>;

/** Expects the reply to be as the example has it, and takes down the names that are other ones here. */
export function expectSame(example: unknown, reply: unknown, names: Names, path = 'body'): void {
  const key = path.split('.').at(-1) ?? '';
  if (Array.isArray(example) && lists.has(key)) {
    expect(kind(reply), path).toBe('array');
    for (const item of example) {
      const like = (reply as unknown[]).find((one) => isSame(item, one));
      expect(like, `${path} has ${JSON.stringify(item)}`).toBeDefined();
    }
    return;
  }
  if (varying.has(key)) {
    expect(kind(reply), path).toBe(kind(example));
    if (typeof example === 'string' && typeof reply === 'string') names.set(example, reply);
    return;
  }
  if (Array.isArray(example)) {
    expect(reply, path).toHaveLength(example.length);
    for (const [index, item] of example.entries())
      expectSame(item, (reply as unknown[])[index], names, `${path}.${index}`);
    return;
  }
  if (typeof example !== 'object' || example === null) {
    expect(reply, path).toEqual(example);
    return;
  }
  expect(kind(reply), path).toBe('object');
  if (isTakenSince(example, reply)) {
    const { attempt: _attempt, ...rest } = reply as { attempt?: number };
    expectSame(example, { ...rest, status: 'queued' }, names, path);
    return;
  }
  expect(Object.keys(reply as object).sort(), path).toEqual(Object.keys(example).sort());
  for (const [name, value] of Object.entries(example))
    expectSame(value, (reply as Record<string, unknown>)[name], names, `${path}.${name}`);
}

/** A worker may have been quicker than the reply. */
function isTakenSince(example: object, reply: unknown): boolean {
  const statusOf = (record: unknown) => (record as { status?: unknown }).status;
  return statusOf(example) === 'queued' && statusOf(reply) === 'running';
}

function isSame(example: unknown, reply: unknown): boolean {
  // An item that is a text is a digest.
  if (typeof example === 'string') return typeof reply === 'string';
  try {
    expectSame(example, reply, new Map());
    return true;
  } catch {
    return false;
  }
}

function kind(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** Expects the text to have every line of the example. */
export function expectLines(example: string, reply: string): void {
  expect(reply.split('\n')).toEqual(expect.arrayContaining(example.trimEnd().split('\n')));
}

/** The same with the names that it has here. */
export function renamed<T>(value: T, names: Names): T {
  let text = JSON.stringify(value);
  if (text === undefined) return value;
  for (const [from, to] of names) text = text.replaceAll(JSON.stringify(from).slice(1, -1), to);
  return JSON.parse(text);
}
