import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeFrame, encodeOci, FrameDecoder, frameType } from '../../runtime/zygote/protocol.ts';
import { defaultLimits } from '../../sdk/contract/limits.ts';
import { takeCensus } from '../support/host.ts';
import { startLauncher, type TestLauncher } from '../support/launcher.ts';
import { storeDir } from '../support/zones.ts';

let directory: string;
let launcher: TestLauncher;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oncebox-test-oci-request-'));
  launcher = await startLauncher(directory, join(storeDir, 'layers'));
});
afterAll(async () => {
  await launcher.stop();
  await rm(directory, { recursive: true });
});

const layer = 'a'.repeat(64);
const spec = { layers: [layer], workingDir: '/work', scratch: true };
const good = () => encodeOci('runc', defaultLimits(), spec, '{}');

/** What the launcher says to the payload before it closes. */
async function answerTo(payload: Buffer): Promise<string> {
  const socket = connect(launcher.socket);
  await once(socket, 'connect');
  socket.write(encodeFrame(frameType.OCI, 0, payload));
  const decoder = new FrameDecoder();
  let said = '';
  for await (const chunk of socket) {
    for (const { type, payload: text } of decoder.push(chunk))
      if (type === frameType.FAILED) said = text.toString();
  }
  return said;
}

/** The good request with these bytes at this place. */
function patched(at: number, value: number | bigint): Buffer {
  const payload = good();
  if (typeof value === 'bigint') payload.writeBigUInt64LE(value, at);
  else payload.writeUInt32LE(value, at);
  return payload;
}

const limitsAt = 4;
const specAt = limitsAt + 56;

test.each<[string, () => Buffer, RegExp]>([
  ['next to nothing', () => Buffer.alloc(1), /too short/],
  ['half of the numbers', () => good().subarray(0, 40), /too short/],
  ['an unknown runtime', () => patched(0, 3), /no such runtime/],
  ['no memory', () => patched(limitsAt, 0n), /out of range/],
  ['all memory there is', () => patched(limitsAt, 0xffff_ffff_ffff_ffffn), /out of range/],
  ['no disk', () => patched(limitsAt + 8, 0n), /out of range/],
  ['too many inodes', () => patched(limitsAt + 16, 1n << 60n), /out of range/],
  ['no processes', () => patched(limitsAt + 40, 0), /out of range/],
  [
    'processes that overflow with what a runtime needs',
    () => patched(limitsAt + 40, 0xffff_ffff),
    /out of range/,
  ],
  ['no CPU', () => patched(limitsAt + 44, 0), /out of range/],
  ['no time', () => patched(limitsAt + 48, 0), /out of range/],
  ['unknown flags', () => patched(specAt, 8), /unknown flags/],
  ['a user who is no id of an image', () => patched(specAt + 4, 65_536), /no id of an image/],
  ['a group that is no id of an image', () => patched(specAt + 8, 65_537), /no id of an image/],
  ['more groups than there may be', () => patched(specAt + 12, 33), /too many groups/],
  ['more groups than there are', () => patched(specAt + 12, 32), /too short|no id of an image|three texts/],
  ['text without its end', () => good().subarray(0, -1), /three texts/],
  ['a text too many', () => Buffer.concat([good(), Buffer.from('x\0')]), /three texts/],
  ['a text too few', () => good().subarray(0, -3), /three texts/],
  [
    'a relative directory',
    () => encodeOci('runc', defaultLimits(), { ...spec, workingDir: 'work' }, '{}'),
    /absolute path/,
  ],
  [
    'a long directory',
    () => encodeOci('runc', defaultLimits(), { ...spec, workingDir: `/${'d'.repeat(4096)}` }, '{}'),
    /absolute path/,
  ],
  ['no layers', () => encodeOci('runc', defaultLimits(), { ...spec, layers: [] }, '{}'), /digest/],
  [
    'a layer that is a path',
    () => encodeOci('runc', defaultLimits(), { ...spec, layers: ['../../etc'] }, '{}'),
    /digest/,
  ],
  [
    'more layers than an overlay takes',
    () => encodeOci('gvisor', defaultLimits(), { ...spec, layers: Array(129).fill(layer) }, '{}'),
    /digest/,
  ],
  ['no config.json', () => encodeOci('runc', defaultLimits(), spec, ''), /config.json/],
  [
    'an endless config.json',
    () => encodeOci('runc', defaultLimits(), spec, ' '.repeat(40_000)),
    /config.json/,
  ],
])('%s is refused', async (_what, payload, reason) => {
  expect(await answerTo(payload())).toMatch(reason);
});

test('what only the runtime can judge is refused by that, and nothing is left', async () => {
  const before = await takeCensus(launcher.pid);
  expect(await answerTo(good())).toMatch(/cannot take a layer/);
  await expect.poll(() => takeCensus(launcher.pid), { timeout: 60_000 }).toEqual(before);
});
