import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { beforeAll, expect, test } from 'vitest';
import { defaultSearchPath } from '../../runtime/interpreters/program-job.ts';
import { type SandboxSpec, scratchSpec, type Zone } from '../../runtime/sandbox/sandbox.ts';
import { openZone } from '../../runtime/zygote/zone.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import { runCommand } from '../support/commands.ts';
import { useLayers } from '../support/layers.ts';
import { storeDir, useZones } from '../support/zones.ts';

const MiB = 1024 * 1024;
const layers = useLayers();
const zones = useZones({ layersDir: layers.layersDir });
let image: string[];
let zone: Zone;

beforeAll(async () => {
  const lower = await layers.add(
    'mkdir -p data/full data/deep/er; echo 1 > data/full/a; echo 2 > data/deep/er/b; echo 3 > data/c',
  );
  const upper = await layers.add('mkdir -p data; mknod data/gone c 0 0; echo 4 > data/d');
  const lowest = await layers.add('mkdir -p data; echo old > data/gone');
  image = [upper, lower, lowest, ...(await layers.addBase('bash', storeDir))];
  zone = await openZone({
    launcherSocket: zones.socket(),
    interpreter: 'exec',
    layers: image,
    searchPath: defaultSearchPath,
  });
});

/** Read by another implementation than the one that wrote it. */
const reader = `import sys, io, json, tarfile
archive = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()))
print(json.dumps([[m.pax_headers.get("ONCEBOX.change"), m.type.decode(), m.name, m.linkname or (archive.extractfile(m).read(20).decode() if m.isfile() else ""), "%o %d:%d" % (m.mode, m.uid, m.gid)] for m in archive]))`;

async function listTar(tar: Uint8Array): Promise<string[][]> {
  const python = spawn('python3', ['-c', reader], { stdio: ['pipe', 'pipe', 'inherit'] });
  python.stdin.end(tar);
  return JSON.parse(await text(python.stdout));
}

const rootSpec = (): SandboxSpec => ({
  layers: image,
  user: { uid: 0, gid: 0, groups: [] },
  workingDir: '/made/for/me',
  scratch: false,
});

async function changesOf(script: string, spec: SandboxSpec = rootSpec(), limits: Partial<Limits> = {}) {
  const ran = await runCommand(zone, spec, ['bash', '-c', script], { captureChanges: true, limits });
  return { ...ran, entries: ran.report.changes && (await listTar(ran.report.changes)) };
}
const namesOf = (entries: string[][] | undefined) => entries?.map(([change, , name]) => `${change} ${name}`);

test('a program that writes nothing has changed nothing', async () => {
  expect((await changesOf('true')).entries).toEqual([]);
  expect((await changesOf('true', scratchSpec(image))).entries).toEqual([]);
});

test('who does not ask is told nothing', async () => {
  const ran = await runCommand(zone, rootSpec(), ['bash', '-c', 'echo 1 > /x']);
  expect(ran.report.changes).toBeUndefined();
});

test('what was added, changed and deleted is said, through all layers', async () => {
  const { entries } = await changesOf(
    'echo new > /data/new; echo more >> /data/c; rm /data/d; rm -r /data/full; mkdir /data/full; echo x > /data/full/x; ' +
      'echo back > /data/gone; chmod 600 /data/deep/er/b; ln -s /etc l; mkfifo f',
  );
  const said = Object.fromEntries(
    (entries ?? []).map(([change, type, name, content]) => [name, [change, type, content]]),
  );
  expect(said).toEqual({
    data: ['changed', '5', ''],
    'data/.wh.d': ['changed', '0', ''],
    'data/c': ['changed', '0', '3\nmore\n'],
    'data/deep': ['changed', '5', ''],
    'data/deep/er': ['changed', '5', ''],
    'data/deep/er/b': ['changed', '0', '2\n'],
    'data/full': ['changed', '5', ''],
    'data/full/.wh..wh..opq': ['changed', '0', ''],
    'data/full/x': ['added', '0', 'x\n'],
    'data/gone': ['added', '0', 'back\n'],
    'data/new': ['added', '0', 'new\n'],
    'made/for/me': ['added', '5', ''],
    'made/for/me/f': ['added', '6', ''],
    'made/for/me/l': ['added', '2', '/etc'],
  });
});

test('what snippets write to /work and /tmp is there, and what the platform wrote is not', async () => {
  const { entries } = await changesOf(
    'echo a > a; mkdir -p d/e; ln a d/e/b; echo t > /tmp/t; echo s > /dev/shm/s',
    scratchSpec(image),
  );
  expect(entries?.map(([change, type, name, content, meta]) => [change, type, name, content, meta])).toEqual([
    ['added', '0', 'tmp/t', 't\n', '644 0:0'],
    ['added', '0', 'work/a', 'a\n', '644 0:0'],
    ['added', '5', 'work/d', '', '755 0:0'],
    ['added', '5', 'work/d/e', '', '755 0:0'],
    ['added', '1', 'work/d/e/b', 'work/a', '644 0:0'],
  ]);
});

test('marks of deletion that a program makes itself delete nothing', async () => {
  const marks =
    'echo a > .wh.gone; python3 -c "import os; os.mknod(\'hidden\', 0o20600, 0)"; mkdir d; ' +
    "python3 -c \"import os; os.setxattr('d', 'user.overlay.opaque', b'y')\"; echo b > d/b";
  const { entries, stderr } = await changesOf(marks, scratchSpec(image));
  expect(stderr).toBe('');
  expect(namesOf(entries)).toEqual(['added work/d', 'added work/d/b']);
});

test('a file of the platform that the program changed is its change', async () => {
  const user = { uid: 0, gid: 0, groups: [] };
  const { entries } = await changesOf('echo x >> /etc/passwd; chmod 700 /made', { ...rootSpec(), user });
  expect(namesOf(entries)).toEqual(['changed etc', 'changed etc/passwd', 'added made']);
});

test('names of any length, depth and bytes arrive', async () => {
  const long = 'x'.repeat(200);
  const { entries } = await changesOf(
    `cd /data; mkdir -p ${long}/${long}/${long}; echo é > ${long}/${long}/${long}/é; printf 1 > $'new\\nline'`,
  );
  expect(namesOf(entries)).toContain(`added data/${long}/${long}/${long}/é`);
  expect(namesOf(entries)).toContain('added data/new\nline');
});

test('more than its disk, as a sparse file claims, is not sent', async () => {
  const startedAt = performance.now();
  const { report, outcome } = await changesOf('truncate -s 1T /data/huge && ls -s /data/huge');
  expect(outcome).toEqual({ status: 'ok' });
  expect(report.changes).toBeUndefined();
  expect(performance.now() - startedAt).toBeLessThan(60_000);
});

test('a sparse file within the disk cap is sent', async () => {
  const { report } = await changesOf('truncate -s 20M /data/sparse', rootSpec(), { diskBytes: 32 * MiB });
  expect(report.changes?.length).toBeGreaterThan(20 * MiB);
});

test('too deep a tree is given up, and the zone goes on', async () => {
  const fifty = 'd/'.repeat(50);
  const { report } = await changesOf(`for i in {1..12}; do mkdir -p ${fifty}; cd ${fifty}; done`);
  expect(report.changes).toBeUndefined();
  expect((await changesOf('echo 1 > /x')).entries).toHaveLength(1);
});

test('a run that timed out has its changes too', async () => {
  // Of the CPU: of wall time the start may take all.
  const ran = await changesOf('echo 1 > /x; while :; do :; done', rootSpec(), { cpuMs: 500 });
  expect(ran.outcome).toMatchObject({ status: 'timeout', limit: 'cpu' });
  expect(namesOf(ran.entries)).toEqual(['added x']);
});
