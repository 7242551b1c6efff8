import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Attack } from './attack.ts';
import type { Ground } from './ground.ts';
import { type TarEntry, tarOf } from './tar-of.ts';
import { must } from './verdict.ts';

const group = 'file-names';
const MiB = 1024 * 1024;

const badNames = [
  ...['../x', 'a/../../x', '..', '.', './x', '/etc/oncebox-was-here', '//x', 'a//b', 'a/', ''],
  ...['/proc/self/fd/3', '/proc/self/root/x', 'a\nb', 'a\0b', 'a\\b', '\u001b[2J', '\u007f'],
  ...['x'.repeat(4096), 'x'.repeat(256), 'é'.repeat(128), `${'a/'.repeat(600)}b`],
];

const names: Attack = {
  id: 'names-of-files',
  group,
  title: 'files named ../x, /etc/x, /proc/self/…, with newlines, NUL, escape sequences, of 4 KB',
  must: '400, naming the field; nothing outside the box',
  async attack(ground) {
    for (const path of badNames) {
      const files = [{ path, content: 'x' }];
      const requests = [
        post(ground, '/v1/run', 'POST', { runtime: 'bash', files }),
        post(ground, '/v1/run', 'POST', { image: 'bash', args: ['true'], files }),
        post(ground, '/v1/functions/names', 'PUT', { runtime: 'node', handler: 'index.handler', files }),
      ];
      for (const { status, field } of await Promise.all(requests))
        must(status === 400 && field?.startsWith('files') === true, 'it was not refused', {
          path,
          status,
          field,
        });
    }
    const both = [
      { path: 'a', content: '' },
      { path: 'a/b', content: '' },
    ];
    const { status } = await post(ground, '/v1/run', 'POST', { runtime: 'bash', files: both });
    must(status === 400, 'a file that is a directory too was not refused', status);
  },
  async control(ground) {
    const files = [{ path: 'a b/…/ünï.sh', content: 'pwd' }];
    const { status } = await post(ground, '/v1/run', 'POST', { runtime: 'bash', files });
    must(status === 200, 'a file of an ordinary name was refused', status);
  },
};

const badEntries: Record<string, TarEntry[]> = {
  'a path that climbs out': [{ path: '../oncebox-was-here', data: 'x' }],
  'a path that climbs out in the middle': [{ path: 'a/../../oncebox-was-here', data: 'x' }],
  'an absolute path': [{ path: '/etc/oncebox-was-here', data: 'x' }],
  'a symbolic link out, and a file through it': [
    { path: 'link', type: 'SymbolicLink', linkpath: '/tmp' },
    { path: 'link/oncebox-was-here', data: 'x' },
  ],
  'a hard link to a file of the host': [{ path: 'link', type: 'Link', linkpath: '/etc/passwd' }],
  'a character device': [{ path: 'kmsg', type: 'CharacterDevice' }],
  'a block device': [{ path: 'disk', type: 'BlockDevice' }],
  'a FIFO': [{ path: 'pipe', type: 'FIFO' }],
  'a whiteout': [{ path: 'a/.wh.b' }],
  'an opaque whiteout': [{ path: '.wh..wh..opq' }],
  'a bomb of 400 MiB of zeros': [{ path: 'zeros', data: Buffer.alloc(400 * MiB) }],
  'a name of 4 KB': [{ path: 'x'.repeat(4096), data: 'x' }],
};

function bundle(what: string, index: number): Attack {
  // Not at once: the platform closes idle connections meanwhile, and who does not hear of it would use one.
  const deploy = async (ground: Ground, entries: readonly TarEntry[]) =>
    upload(ground, await promisify(gzip)(tarOf(entries), { level: 1 }));
  return {
    id: `bundle-${index + 1}`,
    group,
    title: `a function's archive with ${what}`,
    must: '400; nothing outside the box',
    async attack(ground) {
      const handler: TarEntry = { path: 'index.mjs', data: 'export const handler = () => 1;' };
      const status = await deploy(ground, [handler, ...(badEntries[what] ?? [])]);
      must(status === 400 || status === 413, 'it was not refused', status);
    },
    async control(ground) {
      const handler: TarEntry = { path: 'index.mjs', data: 'export const handler = () => 1;' };
      const status = await deploy(ground, [handler, { path: 'lib/a.txt', data: 'x' }]);
      must(status === 201 || status === 200, 'an ordinary archive was refused', status);
      await ground.client.deleteFunction('archive');
    },
  };
}

async function upload({ url, signal }: Ground, body: Buffer): Promise<number> {
  const response = await fetch(`${url}/v1/functions/archive?runtime=node&handler=index.handler`, {
    method: 'PUT',
    headers: { 'content-type': 'application/gzip' },
    body: new Uint8Array(body),
    signal,
  });
  await response.arrayBuffer();
  return response.status;
}

async function post(
  { url, signal }: Ground,
  path: string,
  method: string,
  body: unknown,
): Promise<{ status: number; field?: string }> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url + path, { method, headers, body: JSON.stringify(body), signal });
  const reply = (await response.json()) as { error?: { field?: string } };
  return { status: response.status, ...(reply.error?.field !== undefined && { field: reply.error.field }) };
}

export const fileNameAttacks: readonly Attack[] = [names, ...Object.keys(badEntries).map(bundle)];
