import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';

const run = promisify(execFile);
const step = resolve(import.meta.dirname, '../../scripts/setup/test-tools.mjs');
const program = `const { testTools } = await import(process.argv[1]);
const { isDone, run } = testTools(process.argv[2]);
const before = isDone();
await run(() => {});
console.log(JSON.stringify([before, isDone()]));`;

// Debian's packages are fetched.
const patience = 600_000;

test('test tools are unpacked beside the store and work there, and nothing is installed', {
  timeout: patience,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-test-tools-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await chmod(directory, 0o755);
  // A machine that has what set-up needs, and no test tool.
  const bin = join(directory, 'bin');
  await run('mkdir', [bin]);
  for (const name of ['apt-get', 'dpkg-deb', 'sh', 'tar', 'rm', 'cc', 'as', 'ld'])
    await symlink(`/usr/bin/${name}`, join(bin, name));
  const installed = () => readFile('/var/lib/dpkg/status', 'utf8');
  const before = await installed();

  const store = join(directory, 'data/store');
  const { stdout } = await run(process.execPath, ['--eval', program, '--input-type=module', step, store], {
    env: { PATH: bin },
  });
  expect(JSON.parse(stdout)).toEqual([false, true]);
  const tool = (name: string) => join(directory, 'data/test-tools/bin', name);
  expect((await run(tool('umoci'), ['--version'])).stdout).toContain('umoci version');
  expect((await run(tool('docker-registry'), ['--version'])).stdout).toContain('registry');
  expect((await run(tool('fincore'), ['--version'])).stdout).toContain('util-linux');
  // musl's headers and libraries are found where they are.
  await writeFile(join(directory, 'a.c'), '#include <stdio.h>\nint main(void) { return puts("hi") < 0; }\n');
  const hello = join(directory, 'a');
  await run(tool('musl-gcc'), ['-static', join(directory, 'a.c'), '-o', hello]);
  expect((await run(hello, [])).stdout).toBe('hi\n');
  expect(await installed()).toBe(before);
});
