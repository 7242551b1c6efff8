import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { expect, test, vi } from 'vitest';
import { encodeFrame, encodeStrings, FrameDecoder, frameType } from '../../runtime/zygote/protocol.ts';
import { descendants, onceboxCgroups } from '../support/host.ts';
import { useZones } from '../support/zones.ts';

const freezer = '/sys/fs/cgroup/freezer';
const { zone, launcherPid, socket } = useZones();

/** A process that no signal ends until it is thawed: v1's freezer has such. */
async function freeze() {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const cgroup = `${freezer}/oncebox-test-${process.pid}`;
  await mkdir(cgroup);
  await writeFile(`${cgroup}/cgroup.procs`, `${child.pid}`);
  await writeFile(`${cgroup}/freezer.state`, 'FROZEN');
  await vi.waitFor(
    async () => expect(await readFile(`${cgroup}/freezer.state`, 'utf8')).toBe('FROZEN\n'),
    30_000,
  );
  const thaw = async () => {
    await writeFile(`${cgroup}/freezer.state`, 'THAWED');
    const [, signal] = await ended;
    await rmdir(cgroup);
    return signal;
  };
  return { pid: child.pid, thaw };
}

/** Asks the launcher to remove a layer that is not there. */
async function ask(): Promise<number | undefined> {
  const client = connect(socket());
  client.write(encodeFrame(frameType.REMOVE_LAYER, 0, encodeStrings(['ab'.repeat(32)])));
  const [frame] = new FrameDecoder().push(Buffer.concat(await client.toArray()));
  return frame?.type;
}

test('a cgroup that the kernel does not let go holds up nobody, and its zone is over when it is gone', async (context) => {
  const v1 = await access(freezer).then(
    () => true,
    () => false,
  );
  if (!v1) context.skip('on cgroup v2 what is frozen can be killed');
  const bash = await zone('bash');
  const ours = async () =>
    (await onceboxCgroups()).filter((path) => path.includes(`/oncebox/test-${process.pid}-`));
  const agent = (await ours()).find((path) => path.includes('/memory/') && path.endsWith('/agent'));
  const frozen = await freeze();
  let isClosed = false;
  let closing: Promise<void>;
  try {
    await writeFile(`${agent}/cgroup.procs`, `${frozen.pid}`);
    closing = bash.close().then(() => {
      isClosed = true;
    });
    await vi.waitFor(async () => expect(await descendants(launcherPid())).toEqual([]), 30_000);
    expect(await ask()).toBe(frameType.GONE);
    expect(isClosed).toBe(false);
    expect(await ours()).toContain(agent);
  } finally {
    expect(await frozen.thaw()).toBe('SIGKILL');
  }
  await closing;
  expect((await ours()).filter((path) => path.includes('/zone'))).toEqual([]);
});
