import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isRedisServer } from '../../services/up/predecessor.ts';
import { syncAppendOnly, syncFiles } from '../../services/up/sync-append-only.ts';

test('only regular files are synced: a pipe, a link and a directory among them hold nothing up', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'oncebox-test-append-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  execFileSync('mkfifo', [join(directory, 'a-pipe')]);
  await symlink(join(directory, 'a-pipe'), join(directory, 'b-link'));
  await mkdir(join(directory, 'c-directory'));
  await writeFile(join(directory, 'd.aof'), 'x');
  expect(await syncFiles(directory)).toBe(1);
  // With nothing under way, a stop waits for nothing.
  await syncAppendOnly(directory).stop();
});

test.each([
  ['redis-server', true],
  ['redis-check-rdb', true],
  ['redis-cli', false],
  ['redis-benchmark', false],
])('%s is a Redis that a killed supervisor may have left: %s', (program, expected) => {
  expect(isRedisServer(program)).toBe(expected);
});
