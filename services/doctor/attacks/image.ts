import { createHash } from 'node:crypto';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OnceboxError } from '../../../sdk/client.ts';
import type { Attack } from './attack.ts';
import { elfOf } from './elf.ts';
import { type Ground, saidBy } from './ground.ts';
import { ociArchiveOf } from './oci-archive.ts';
import { readProgram } from './programs.ts';
import type { TarEntry } from './tar-of.ts';
import { must, NotHere } from './verdict.ts';

const group = 'image';
const program = 'write-layer.py';

type Hashes = Record<string, string>;

const layers: Attack = {
  id: 'image-shared-layer',
  group,
  title:
    'writing to a shared layer: by name, mapping, /proc/self/mem, dirty pipe (CVE-2022-0847), copies (CVE-2023-0386)',
  must: 'the hash, mode and owner of every file are unchanged, for the host and for the next invocation',
  async attack(ground) {
    const before = saidBy<Hashes>(await ground.program(program, { args: ['read'] }));
    const onHost = await layerFiles(ground, Object.keys(before));
    must(Object.keys(onHost).length >= Object.keys(before).length - 1, 'the files are in no layer', onHost);
    const asUser = saidBy<Record<string, string>>(await ground.program(program, { args: ['write'] }));
    const done = Object.entries(asUser).filter(([, end]) => end === 'OK');
    must(
      Object.keys(asUser).length > 20 && done.length === 0,
      'done as its own user',
      Object.fromEntries(done),
    );
    // The image's root may: in a copy of its own.
    const files = [{ path: program, content: await readProgram(program) }];
    const entrypoint = ['python3', `/tmp/${program}`, 'write'];
    const asRoot = await ground.run({ image: 'python', user: '0', workdir: '/tmp', files, entrypoint });
    const root = saidBy<Record<string, string>>(asRoot);
    const beneath = Object.entries(root).filter(
      ([name, end]) => /^(memory|pipe) /.test(name) && end === 'OK',
    );
    must(beneath.length === 0, "done beneath the root's own copy", root);
    must(Object.values(root).includes('OK'), "the image's root could not even write to its own copy", root);
    const after = saidBy<Hashes>(await ground.program(program, { args: ['read'] }));
    // The sandbox's user has another id in each, and so another line in /etc/passwd.
    for (const path of Object.keys(before).filter((name) => name !== '/etc/passwd'))
      must(after[path] === before[path], 'the next invocation sees another file', path);
    must(same(await layerFiles(ground, Object.keys(before)), onHost), 'the layer has changed', onHost);
  },
  async control({ outside }) {
    // Of a file that is one's own, all of it can be done, and shows in its hash.
    const script =
      'head -c 100 /dev/urandom > file; sha256sum < file; python3 "$0" write "$PWD/file"; sha256sum < file';
    const ran = await outside.run(['bash', '-c', script], {
      args: [new URL(`./programs/${program}`, import.meta.url).pathname],
    });
    const lines = `${ran.stdout}`.trimEnd().split('\n');
    const found = JSON.parse(lines[1] ?? '{}') as Record<string, string>;
    const did = Object.entries(found).filter(
      ([name, end]) => /^(mapping|write|rename|unlink)/.test(name) && end === 'OK',
    );
    must(did.length === 4, 'root outside cannot', found);
  },
};

/** Content, mode and owner of the files of these names in any layer, as the host sees them. */
async function layerFiles({ platform }: Ground, paths: readonly string[]): Promise<Hashes> {
  const directory = join(platform.config.storeDir, 'layers');
  const found: Hashes = {};
  for (const layer of await readdir(directory)) {
    for (const path of paths) {
      const file = join(directory, layer, path);
      const status = await lstat(file).catch(() => undefined);
      if (!status?.isFile()) continue;
      const hash = createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
      found[file] = [hash, status.mode, status.uid, status.gid, status.size].join();
    }
  }
  return found;
}

function same(one: Hashes, other: Hashes): boolean {
  return JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());
}

const link = (path: string, linkpath: string): TarEntry => ({ path, type: 'SymbolicLink', linkpath });

/** What an image has where the platform mounts or writes something. */
const strangeRoots: Record<string, TarEntry[]> = {
  '/dev/null a link to sysrq-trigger (CVE-2025-31133)': [
    link('dev/null', '/proc/sysrq-trigger'),
    link('dev/zero', '/etc/shadow'),
  ],
  '/dev/console and /dev/pts links into /proc (CVE-2025-52565)': [
    link('dev/console', '/proc/sys/kernel/core_pattern'),
    link('dev/pts', '/proc/sys'),
    link('dev/shm', '/proc'),
  ],
  '/proc and its files links elsewhere (CVE-2025-52881)': [link('proc', '/tmp')],
  '/proc/self/attr a file of the image': [
    { path: 'proc/self/attr/exec', data: 'x' },
    { path: 'proc/sysrq-trigger', data: 'x' },
  ],
  '/dev a link to /proc/1/root': [link('dev', '/proc/1/root/dev')],
  '/tmp and /work links out of the root (CVE-2021-30465)': [
    link('tmp', '../../../../tmp'),
    link('work', '../../../../etc'),
  ],
  '/tmp a link to /proc/1/root': [link('tmp', '/proc/1/root')],
  '/etc/passwd a FIFO': [{ path: 'etc/passwd', type: 'FIFO' }],
  '/etc a link to /dev': [link('etc', '/dev')],
};

function strangeRoot(what: string, index: number): Attack {
  const reference = `localhost/oncebox-attack-root-${index + 1}:1`;
  return {
    id: `image-root-${index + 1}`,
    group,
    title: `an image with ${what}`,
    must: 'it runs inside its box, or is refused with a reason; nothing of the host changes',
    async attack(ground) {
      if (process.arch !== 'x64') throw new NotHere('the program is of x86-64');
      const before = await hostState();
      const id: TarEntry = { path: 'app/id', data: elfOf('effectiveUser'), mode: 0o755 };
      await ground.client.importImage(ociArchiveOf([id, ...(strangeRoots[what] ?? [])], reference), {
        reference,
      });
      try {
        for (const workdir of ['/', '/tmp/x', '/work']) {
          const end = await endOf(ground, { image: reference, user: '7', workdir, entrypoint: ['/app/id'] });
          must(/^(exited 7|exited 126|refused)/.test(end), `with the working directory ${workdir}`, end);
        }
      } finally {
        await ground.client.removeImage(reference, { force: true });
      }
      must((await hostState()) === before, 'the host has changed', [before, await hostState()]);
    },
    async control(ground) {
      if (process.arch !== 'x64') throw new NotHere('the program is of x86-64');
      const id: TarEntry = { path: 'app/id', data: elfOf('effectiveUser'), mode: 0o755 };
      await ground.client.importImage(ociArchiveOf([id], reference), { reference });
      try {
        const end = await endOf(ground, { image: reference, user: '7', entrypoint: ['/app/id'] });
        must(end === 'exited 7', 'an ordinary image does not run', end);
      } finally {
        await ground.client.removeImage(reference, { force: true });
      }
    },
  };
}

async function endOf(ground: Ground, request: Parameters<Ground['run']>[0]): Promise<string> {
  try {
    const { outcome } = await ground.run(request);
    if (outcome?.status === 'exited') return `exited ${outcome.exitCode}`;
    if (outcome?.status === 'lost') return `refused: ${outcome.reason}`;
    return JSON.stringify(outcome);
  } catch (error) {
    if (error instanceof OnceboxError) return `refused: ${error.message}`;
    throw error;
  }
}

/** What such links would reach. */
async function hostState(): Promise<string> {
  const files = ['/etc/shadow', '/etc/passwd', '/proc/sys/kernel/core_pattern', '/dev/null'];
  const states = files.map(async (path) => {
    const { mode, uid, gid, rdev } = await lstat(path);
    const content = path.startsWith('/dev') ? '' : await readFile(path, 'utf8');
    return [path, mode, uid, gid, rdev, createHash('sha256').update(content).digest('hex')].join();
  });
  return (await Promise.all(states)).join('\n');
}

const badLayers: Record<string, TarEntry[]> = {
  'a path that climbs out': [{ path: '../../oncebox-was-here', data: 'x' }],
  'a file through a link out': [link('out', '/'), { path: 'out/oncebox-was-here', data: 'x' }],
  'a hard link out': [{ path: 'hard', type: 'Link', linkpath: '../../../etc/shadow' }],
  'trusted.overlay and user.overlay attributes': [
    {
      path: 'd',
      type: 'Directory',
      mode: 0o755,
      attributes: { 'trusted.overlay.redirect': '/etc', 'trusted.overlay.opaque': 'y' },
    },
    {
      path: 'e',
      type: 'Directory',
      mode: 0o755,
      attributes: { 'user.overlay.redirect': '/etc', 'user.overlay.metacopy': '' },
    },
  ],
  'device nodes of the disk and of memory': [
    { path: 'disk', type: 'BlockDevice', mode: 0o666 },
    { path: 'mem', type: 'CharacterDevice', mode: 0o666 },
  ],
};

function badLayer(what: string, index: number): Attack {
  const reference = `localhost/oncebox-attack-layer-${index + 1}:1`;
  return {
    id: `image-layer-${index + 1}`,
    group,
    title: `the archive of an image with ${what}`,
    must: 'refused, or without effect: nothing outside its directory, no device, no such attribute',
    async attack(ground) {
      if (process.arch !== 'x64') throw new NotHere('the program is of x86-64');
      const before = await hostState();
      const id: TarEntry = { path: 'app/id', data: elfOf('effectiveUser'), mode: 0o755 };
      const archive = ociArchiveOf([id, ...(badLayers[what] ?? [])], reference);
      const imported = await ground.client.importImage(archive, { reference }).then(
        () => true,
        (error: unknown) => {
          if (error instanceof OnceboxError && error.status === 422) return false;
          throw error;
        },
      );
      try {
        if (imported) {
          const end = await endOf(ground, { image: reference, user: '7', entrypoint: ['/app/id'] });
          must(/^(exited 7|refused)/.test(end), 'it does not run as others do', end);
        }
        for (const root of [
          '/',
          '/tmp',
          ground.platform.config.storeDir,
          join(ground.platform.config.storeDir, 'layers'),
        ])
          must(!(await readdir(root)).includes('oncebox-was-here'), 'a file is outside', root);
        must(
          (await devicesBelow(join(ground.platform.config.storeDir, 'layers'))).length === 0,
          'a device is in a layer',
          what,
        );
      } finally {
        if (imported) await ground.client.removeImage(reference, { force: true });
      }
      must((await hostState()) === before, 'the host has changed', await hostState());
    },
    async control({ outside }) {
      // By a tar that trusts its archive, the same entries come true: a link is followed, a device is made.
      const script =
        'mkdir out in; ln -s "$PWD/out" in/link; echo x > out/file; tar -cf a.tar -C in link; tar -xPf a.tar && cat link/file; ' +
        'mknod mem c 1 1 && stat -c %F mem; python3 -c \'import os; os.setxattr(".", "trusted.overlay.opaque", b"y"); print("set")\'';
      const ran = await outside.run(['bash', '-c', script]);
      must(`${ran.stdout}` === 'x\ncharacter special file\nset\n', 'root outside cannot', ran);
    },
  };
}

/** Whiteouts, which are devices 0:0, aside. */
async function devicesBelow(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) found.push(...((await unlessGone(devicesBelow(path))) ?? []));
    if (!entry.isBlockDevice() && !entry.isCharacterDevice()) continue;
    const status = await unlessGone(lstat(path));
    if (status && status.rdev !== 0) found.push(path);
  }
  return found;
}

/** What is taken away meanwhile is no device; a recursive `readdir` would fail. */
async function unlessGone<T>(looking: Promise<T>): Promise<T | undefined> {
  return looking.catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
}

export const imageAttacks: readonly Attack[] = [
  layers,
  ...Object.keys(strangeRoots).map(strangeRoot),
  ...Object.keys(badLayers).map(badLayer),
];
