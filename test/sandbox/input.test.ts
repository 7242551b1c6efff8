import { expect, test } from 'vitest';
import { OpenInput } from '../../runtime/sandbox/open-input.ts';
import type { Sandbox } from '../../runtime/sandbox/sandbox.ts';
import type { Limits } from '../../sdk/contract/limits.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import { snippetOf } from '../conformance/programs.ts';
import { patientLimits } from '../support/limits.ts';
import { useZones } from '../support/zones.ts';

// Input that comes while a program runs, over real zones.
const zones = useZones();
const waitMs = 60_000;

/** A program that runs, its input, and what it has said so far. */
async function start(runtime: RuntimeName, code: string, stdin = '', limits: Partial<Limits> = {}) {
  const sandbox: Sandbox = await zones.park(runtime);
  const input = new OpenInput();
  const said: Uint8Array[] = [];
  const text = () => Buffer.concat(said).toString();
  const report = sandbox.run({
    program: snippetOf(runtime, code),
    limits: patientLimits(limits),
    stdin: Buffer.from(stdin),
    input,
    onOutput: (_, bytes) => void said.push(bytes),
  });
  report.catch(() => {});
  const says = (words: string) => expect.poll(text, { timeout: waitMs }).toContain(words);
  const write = (words: string) => input.write(Buffer.from(words));
  return { sandbox, input, report, says, write, said: text };
}

test('a program gets its stdin piece by piece, and its end when that is said', async () => {
  const cat = await start('bash', 'cat; echo over', 'given at first\n');
  await cat.says('given at first\n');
  for (const piece of ['one\n', 'two\n', 'é']) {
    await cat.write(piece);
    await cat.says(piece);
  }
  cat.input.end();
  expect(await cat.report).toMatchObject({ cause: 'exited', exitCode: 0 });
  expect(cat.said()).toBe('given at first\none\ntwo\néover\n');
});

test('python asks and is answered, and node reads lines as they come', async () => {
  const python = await start('python', 'name = input("who? ")\nprint("hello", name)\nprint(input("and? "))');
  await python.says('who? ');
  await python.write('Ada\n');
  await python.says('hello Ada\nand? ');
  await python.write('me\n');
  expect(await python.report).toMatchObject({ cause: 'exited', exitCode: 0 });
  const node = await start(
    'node',
    'require("readline").createInterface({ input: process.stdin }).on("line", (l) => console.log("<" + l + ">")).on("close", () => console.log("end"))',
  );
  await node.write('a\nb');
  await node.says('<a>');
  await node.write('c\n');
  await node.says('<bc>');
  node.input.end();
  expect(await node.report).toMatchObject({ cause: 'exited', exitCode: 0 });
  expect(node.said()).toBe('<a>\n<bc>\nend\n');
});

test('a signal reaches a handler in python and in node, and ends what has none', async () => {
  const python = await start(
    'python',
    'import time\ntry:\n  print("up", flush=True)\n  time.sleep(60)\nexcept KeyboardInterrupt:\n  print("interrupted")',
  );
  await python.says('up');
  await python.input.signal(2);
  expect(await python.report).toMatchObject({ cause: 'exited', exitCode: 0 });
  expect(python.said()).toBe('up\ninterrupted\n');
  const node = await start(
    'node',
    'process.on("SIGINT", () => { console.log("interrupted"); process.exit(7) }); setInterval(() => {}, 1000); console.log("up")',
  );
  await node.says('up');
  await node.input.signal(2);
  expect(await node.report).toMatchObject({ cause: 'exited', exitCode: 7 });
  expect(node.said()).toBe('up\ninterrupted\n');
  const plain = await start('bash', 'echo up; exec sleep 60');
  await plain.says('up');
  await plain.input.signal(15);
  expect(await plain.report).toMatchObject({ cause: 'exited', signal: 15 });
});

test('only the main process is signalled, whatever others are there', async () => {
  const code =
    'trap "echo main" USR1; (trap "echo child" USR1; echo up; while :; do sleep 0.05; done) & while :; do wait; done';
  const bash = await start('bash', code);
  await bash.says('up');
  await bash.input.signal(10);
  await bash.says('main');
  await bash.input.signal(9);
  expect(await bash.report).toMatchObject({ cause: 'exited', signal: 9 });
  expect(bash.said()).not.toContain('child');
});

test('who never reads has a window of stdin sent to it and no more, and can be signalled all the same', async () => {
  const sleeper = await start('bash', 'echo up; exec sleep 60');
  await sleeper.says('up');
  let written = 0;
  const piece = Buffer.alloc(16_384, 'x');
  for (let i = 0; i < 64; i++) void sleeper.input.write(piece).then(() => (written += piece.length));
  // The pipe's, and what the agent has taken of the rest is said when it is in the pipe.
  await expect.poll(() => written, { timeout: waitMs }).toBe(65_536);
  await sleeper.sandbox.stat(); // whatever it would have said has been said
  expect(written).toBe(65_536);
  await sleeper.input.signal(9);
  expect(await sleeper.report).toMatchObject({ signal: 9 });
  await expect.poll(() => written, { timeout: waitMs }).toBe(64 * piece.length);
});

test('all of a long stdin arrives, in its order, at the pace of a slow reader', async () => {
  const slow = await start(
    'python',
    'import sys, hashlib\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())',
  );
  const { createHash } = await import('node:crypto');
  const bytes = Buffer.from(
    Array.from({ length: 3 * 2 ** 20 }, (_, index) => (index * 31 + (index >> 9)) & 0xff),
  );
  await slow.input.write(bytes.subarray(0, 100_001));
  await slow.input.write(bytes.subarray(100_001));
  slow.input.end();
  await slow.report;
  expect(slow.said().trim()).toBe(createHash('sha256').update(bytes).digest('hex'));
});

test('a program that closes its stdin goes on, and what is written to it is dropped', async () => {
  const deaf = await start(
    'bash',
    'trap "exit 3" TERM; exec 0<&-; echo closed; while :; do sleep 0.05; done',
  );
  await deaf.says('closed');
  for (let i = 0; i < 40; i++) await deaf.input.write(Buffer.alloc(65_536));
  deaf.input.end();
  await deaf.input.signal(15);
  expect(await deaf.report).toMatchObject({ cause: 'exited', exitCode: 3 });
});

test('stdin that stays open is no way around the wall time, nor a kill', async () => {
  const waiting = await start('bash', 'cat', '', { wallMs: 700 });
  expect(await waiting.report).toMatchObject({ cause: 'wall' });
  const killed = await start('bash', 'echo up; cat');
  await killed.says('up');
  const writing = killed.input.write(Buffer.alloc(8 * 2 ** 20, '\n'));
  await killed.sandbox.kill();
  expect(await killed.report).toMatchObject({ cause: 'killed' });
  await writing;
});
