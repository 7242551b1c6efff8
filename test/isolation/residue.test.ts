import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { SandboxLostError, scratchSpec } from '../../runtime/sandbox/sandbox.ts';
import { encodeFrame, encodeStrings, FrameDecoder, frameType } from '../../runtime/zygote/protocol.ts';
import { descendants, takeCensus } from '../support/host.ts';
import { useZones } from '../support/zones.ts';

const { run, park, zone, launcherPid, socket } = useZones();

test('two hundred invocations at eight a time leave nothing', async () => {
  await Promise.all([zone('node'), zone('python'), zone('bash')]);
  const before = await takeCensus(launcherPid());
  const programs = [
    ['node', 'console.log(1)'],
    ['python', 'print(1)'],
    ['bash', '(sleep 100 &) ; echo 1 > f; cat f'],
  ] as const;
  let started = 0;
  const worker = async () => {
    while (started < 200) {
      const [runtime, code] = programs[started++ % 3] as (typeof programs)[number];
      expect((await run(runtime, code)).stdout).toBe('1\n');
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect(await takeCensus(launcherPid())).toEqual(before);
});

test('sandboxes killed in every phase leave nothing', async () => {
  const before = await takeCensus(launcherPid());
  const bash = await zone('bash');
  const { layers } = await park('bash');
  const doomed = Array.from({ length: 40 }, () => bash.create(scratchSpec(layers)));
  const parked = await Promise.all(doomed);
  await Promise.all(parked.map((sandbox) => sandbox.kill()));
  const census = await takeCensus(launcherPid());
  expect(census.processes - before.processes).toBe(2); // init and child of the one that gave us its layers: still parked
});

test('a thousand sandboxes asked for at once are all made', async () => {
  const bash = await zone('bash');
  const { layers } = await park('bash');
  const all = await Promise.all(Array.from({ length: 1000 }, () => bash.create(scratchSpec(layers))));
  await Promise.all(all.map((sandbox) => sandbox.kill()));
});

test('a layer that is not there is said, and the zone goes on', async () => {
  const bash = await zone('bash');
  await expect(bash.create(scratchSpec(['f'.repeat(64)]))).rejects.toThrow(/overlay/);
  await expect(bash.create(scratchSpec(['../../etc']))).rejects.toThrow(/digest/);
  expect((await run('bash', 'echo still')).stdout).toBe('still\n');
});

test('a zone whose zygote is killed says so, and leaves nothing', async () => {
  const doomed = await zone('python');
  const sandbox = await park('python');
  const before = await descendants(launcherPid());
  const zygote = await zygoteOf(before, 'zygote.py');
  process.kill(zygote, 'SIGKILL');
  await doomed.closed;
  await sandbox.dead;
  await expect(doomed.create(scratchSpec(sandbox.layers))).rejects.toThrow(SandboxLostError);
  expect((await descendants(launcherPid())).includes(zygote)).toBe(false);
});

test('the launcher refuses what is no zone request, and goes on', async () => {
  const requests = [
    Buffer.from('GET / HTTP/1.0\r\n\r\n'),
    encodeFrame(frameType.RUN, 0, Buffer.from('x\0')),
    encodeFrame(frameType.ZONE, 0, Buffer.from('no end')),
    encodeFrame(frameType.ZONE, 0, encodeStrings(['../../../etc', '/bin/sh'])),
    encodeFrame(frameType.ZONE, 0, encodeStrings([''])),
    encodeFrame(frameType.ZONE, 0, encodeStrings([`${'a'.repeat(64)}:`])),
  ];
  for (const request of requests) {
    const connection = connect(socket());
    const heard: Buffer[] = [];
    connection.on('error', () => {}); // it may close before it has read all of this
    connection.on('data', (chunk) => heard.push(chunk));
    connection.write(request);
    // Not `once` of node:events, which an error would end.
    await new Promise<void>((resolve) => connection.once('close', () => resolve()));
    const [frame] = new FrameDecoder().push(Buffer.concat(heard));
    expect(frame?.type).toBe(frameType.FAILED);
  }
  expect((await run('bash', 'echo still')).stdout).toBe('still\n');
});

async function zygoteOf(pids: readonly number[], script: string): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  for (const pid of pids) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(script)) return pid;
  }
  throw new Error(`no process runs ${script}`);
}
