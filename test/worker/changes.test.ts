import { createHash } from 'node:crypto';
import { Header, Pax } from 'tar';
import { describe, expect, test } from 'vitest';
import { readFiles } from '../../services/queue/invocation-files.ts';
import { readChanges } from '../../services/worker/changes.ts';
import { createDiffRecorder } from '../../services/worker/record-diff.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();

interface Entry {
  path: string;
  change?: 'added' | 'changed';
  type?: 'File' | 'Directory' | 'SymbolicLink' | 'Link' | 'FIFO';
  content?: string;
  linkpath?: string;
}

/** As the agent writes it: pax headers with a key of ours before each entry. */
function tarOf(entries: Entry[]): Buffer {
  const blocks = entries.flatMap(({ path, change, type = 'File', content = '', linkpath }) => {
    const data = Buffer.from(content);
    const header = Buffer.alloc(512);
    const fields = { path, type, size: data.length, mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) };
    new Header({ ...fields, ...(linkpath !== undefined && { linkpath }) }).encode(header);
    const pax = new Pax({ path }).encode();
    if (change) {
      const record = paxRecord(`ONCEBOX.change=${change}`);
      const body = Buffer.from(pax.subarray(512).toString().replace(/\0+$/, '') + record);
      const extended = Buffer.alloc(512 + Math.ceil(body.length / 512) * 512);
      new Header({ path: 'PaxHeader/x', type: 'ExtendedHeader', size: body.length, mode: 0o644 }).encode(
        extended,
      );
      body.copy(extended, 512);
      return [extended, header, data, Buffer.alloc(-data.length & 511)];
    }
    return [pax, header, data, Buffer.alloc(-data.length & 511)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** `<length> <key>=<value>\n`, the length counting itself. */
function paxRecord(text: string): string {
  const rest = ` ${text}\n`;
  const length = rest.length + 2;
  return `${length}${rest}`;
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

test('what was added, changed and deleted is told apart, with sizes and hashes', async () => {
  const { changes, truncated } = await readChanges(
    tarOf([
      { path: 'out/', type: 'Directory', change: 'added' },
      { path: 'out/new.txt', content: 'hello', change: 'added' },
      { path: 'etc/passwd', content: 'x', change: 'changed' },
      { path: 'etc/.wh.shadow' },
      { path: 'var/.wh..wh..opq' },
      { path: 'out/link', type: 'SymbolicLink', linkpath: '/etc/passwd', change: 'added' },
      { path: 'out/hard', type: 'Link', linkpath: 'out/new.txt', change: 'added' },
      { path: 'out/fifo', type: 'FIFO', change: 'added' },
      { path: `${'d/'.repeat(60)}${'n'.repeat(120)}é`, content: '', change: 'added' },
    ]),
  );
  expect(truncated).toBe(false);
  expect(changes).toEqual([
    { kind: 'added', path: '/out', type: 'directory', sizeBytes: 0 },
    { kind: 'added', path: '/out/new.txt', type: 'file', sizeBytes: 5, sha256: sha256('hello') },
    { kind: 'changed', path: '/etc/passwd', type: 'file', sizeBytes: 1, sha256: sha256('x') },
    { kind: 'deleted', path: '/etc/shadow', type: 'other', sizeBytes: 0 },
    { kind: 'added', path: '/out/link', type: 'symlink', sizeBytes: 0 },
    { kind: 'added', path: '/out/hard', type: 'file', sizeBytes: 5, sha256: sha256('hello') },
    { kind: 'added', path: '/out/fifo', type: 'other', sizeBytes: 0 },
    {
      kind: 'added',
      path: `/${'d/'.repeat(60)}${'n'.repeat(120)}é`,
      type: 'file',
      sizeBytes: 0,
      sha256: sha256(''),
    },
  ]);
});

test('a file larger than the pieces it is read in has the right hash', async () => {
  const content = 'abcdefgh'.repeat(400_000);
  const { changes } = await readChanges(tarOf([{ path: 'big', content }]));
  expect(changes).toMatchObject([{ sizeBytes: content.length, sha256: sha256(content) }]);
});

test('nothing at all is no change', async () => {
  expect(await readChanges(Buffer.alloc(1024))).toEqual({ changes: [], truncated: false });
  expect(await readChanges(Buffer.alloc(0))).toEqual({ changes: [], truncated: false });
});

test('only the first 10,000 are listed', async () => {
  const entries = Array.from({ length: 10_001 }, (_, n) => ({ path: `f${n}` }));
  const { changes, truncated } = await readChanges(tarOf(entries));
  expect([changes.length, truncated]).toEqual([10_000, true]);
});

test.each([
  ['garbage', Buffer.alloc(2048, 'x')],
  ['a compressed one', Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(1022)])],
  ['one that ends early', tarOf([{ path: 'a', content: 'x'.repeat(4096) }]).subarray(0, 2048)],
])('%s is refused', async (_, tar) => {
  await expect(readChanges(tar)).rejects.toThrow();
});

describe('the record of a diff', () => {
  const record = (maxBytes = 4096) => createDiffRecorder({ redis: redis.redis, maxBytes, keepMs: 600_000 });
  const tar = tarOf([{ path: 'a', content: 'hello' }]);

  test('is empty unless it was asked for', async () => {
    expect(await record()('inv', false, tar)).toEqual({});
  });

  test('lists the changes, and keeps nothing else', async () => {
    expect(await record()('inv', true, tar)).toMatchObject({ changes: [{ path: '/a' }] });
    expect(await readFiles(redis.redis, 'inv')).toBeUndefined();
  });

  test('with the archive keeps it, for as long as the record', async () => {
    expect(await record()('inv', 'archive', tar)).toMatchObject({
      changes: [{ path: '/a' }],
      files: { sizeBytes: tar.length },
    });
    expect(await readFiles(redis.redis, 'inv')).toEqual(tar);
    expect(await redis.redis.pttl('oncebox:files:inv')).toBeGreaterThan(500_000);
  });

  test('says why files are not kept', async () => {
    const { changes, files, diffError } = await record(100)('inv', 'archive', tar);
    expect([changes?.length, files]).toEqual([1, undefined]);
    expect(diffError).toContain('ONCEBOX_FILES_MAX_BYTES');
  });

  test('says what could not be read', async () => {
    expect((await record()('inv', true, undefined)).diffError).toContain('could not be read');
    expect((await record()('inv', true, Buffer.alloc(1024, 'x'))).diffError).toContain('cannot read');
  });
});
