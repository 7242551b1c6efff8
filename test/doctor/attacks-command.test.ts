import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { auditNode } from '../../services/doctor/leaks/audit-node.ts';
import { HostProcesses } from '../../services/doctor/leaks/host-processes.ts';

const oncebox = resolve(import.meta.dirname, '../../bin/oncebox');

test('the attacks that are named are made, and said one by one and in a table', async () => {
  const { code, stdout, stderr } = await attack(['--only', 'privileges-none']).ended;
  expect(stderr).toMatch(/^1\/1 held privileges: .* \(\d+\.\d s\)$/m);
  expect(stdout).toMatch(/^GROUP +ATTACK +WALL +CONTROL$/m);
  expect(stdout).toMatch(/^privileges .* held +succeeded$/m);
  expect(stdout).toContain(
    '1 held, 0 broken, 0 could not be tried, 0 controls failed, 0 things left behind.',
  );
  expect(code).toBe(0);
});

test('for programs the rows are JSON', async () => {
  const { code, stdout } = await attack(['--only', 'privileges-none', '--json']).ended;
  expect(JSON.parse(stdout)).toMatchObject({
    rows: [{ id: 'privileges-none', held: true, control: true }],
    leaks: [],
  });
  expect(code).toBe(0);
});

test('a name that no attack has is refused', async () => {
  const { code, stderr } = await attack(['--only', 'nonesuch']).ended;
  expect(stderr).toContain('no attack or group is called nonesuch');
  expect(code).toBe(2);
});

test('interrupted, it takes its platform away', async () => {
  const { child, ended } = attack(['--only', 'memory', 'disk', 'output']);
  let heard = '';
  await new Promise<void>((resolve) => {
    child.stderr.on('data', (chunk) => {
      heard += chunk;
      if (/^ *1\//m.test(heard)) resolve();
    });
  });
  const { all, launchers } = new HostProcesses();
  const launcher = [...launchers.values()].find(({ pid }) => all.get(pid)?.parent === child.pid);
  const { instance, runDir, layersDir } = launcher ?? { instance: '', runDir: '', layersDir: '' };
  expect(existsSync(runDir)).toBe(true);
  expect(existsSync(layersDir)).toBe(true);
  child.kill('SIGINT');
  expect((await ended).code).toBe(130);
  expect(existsSync(dirname(runDir))).toBe(false);
  expect(existsSync(dirname(layersDir))).toBe(false);
  expect(new HostProcesses().instances).not.toContain(instance);
  expect((await auditNode({ instance, settleMs: 60_000 })).leaks).toEqual([]);
});

function attack(args: string[]) {
  const child = spawn(oncebox, ['doctor', '--attacks', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'exit');
  const ended = Promise.all([text(child.stdout), text(child.stderr), closed]).then(
    ([stdout, stderr, [code]]) => ({
      code: code as number,
      stdout,
      stderr,
    }),
  );
  return { child, ended };
}
