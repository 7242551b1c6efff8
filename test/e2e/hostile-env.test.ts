import { describe, expect, test } from 'vitest';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';
import { usePlatform } from '../support/use-platform.ts';

/**
 * Variables that tell a loader or an interpreter what to load. They are the program's own affair: it may run what it
 * likes anyway. They must not reach what is ours: the zygote, the part of it that runs in the sandbox before the program
 * does, and the next call.
 */
const hostile = {
  LD_PRELOAD: '/work/evil.so',
  LD_LIBRARY_PATH: '/work',
  LD_AUDIT: '/work/evil.so',
  NODE_OPTIONS: '--require /work/evil.cjs --no-such-option',
  NODE_PATH: '/work',
  NODE_EXTRA_CA_CERTS: '/work/evil.cjs',
  UV_USE_IO_URING: '1',
  PYTHONPATH: '/work',
  PYTHONHOME: '/work',
  PYTHONSTARTUP: '/work/evil.py',
  PYTHONINSPECT: '1',
  PYTHONHASHSEED: '0',
  PYTHONMALLOC: 'debug',
  BASH_ENV: '/work/evil.sh',
  ENV: '/work/evil.sh',
  SHELLOPTS: 'xtrace',
  IFS: '/',
  PATH: '/work',
  HOME: '/proc/1',
  ONCEBOX_REDIS_URL: 'unix:///work/x',
  GLIBC_TUNABLES: 'glibc.malloc.check=3',
};
const running = usePlatform();

/** What each loader would run, if it heeded the variable. */
const evil = [
  { path: 'evil.so', content: 'no library' },
  { path: 'evil.cjs', content: 'console.log("evil")' },
  { path: 'evil.py', content: 'print("evil")' },
  { path: 'evil.sh', content: 'echo evil' },
  { path: 'json.py', content: 'raise SystemExit("evil")' },
  { path: 'os.py', content: 'raise SystemExit("evil")' },
];
const sees: Record<RuntimeName, { path: string; content: string }> = {
  node: { path: 'main.cjs', content: 'console.log(JSON.stringify(process.env))' },
  python: {
    path: 'main.py',
    content:
      'import sys, os\nprint("{" + ",".join(f\'"{k}":{v!r}\' for k, v in os.environ.items()).replace("\'", \'"\') + "}")',
  },
  bash: { path: 'main.sh', content: 'echo "${NODE_OPTIONS}|${LD_LIBRARY_PATH}"' },
};

describe.each(['node', 'python'] as const)('%s', (runtime) => {
  test('a program gets what it asks for, and the part of ours before it heeds none of it', async () => {
    const files = [sees[runtime], ...evil];
    const { outcome, stdout, stderr } = await running.client.run({ runtime, files, env: hostile });
    expect({ outcome, stderr }).toEqual({ outcome: { status: 'ok' }, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject(hostile);
    expect(stdout).not.toContain('\nevil');
  });

  test('a program that starts the interpreter itself meets its own variables', async () => {
    const start =
      runtime === 'node'
        ? 'console.log(require("child_process").spawnSync(process.execPath, ["-e", "0"]).stderr.toString())'
        : 'import subprocess, sys\nprint(subprocess.run([sys.executable, "-c", "0"], capture_output=True, text=True).stderr)';
    const { stdout } = await running.client.run({
      runtime,
      code: start,
      env: { NODE_OPTIONS: '--no-such-option', PYTHONHOME: '/work' },
    });
    expect(stdout).toMatch(/no-such-option|PYTHONHOME/);
  });

  test('a function deployed with them is called and initialised as any other', async () => {
    const code =
      runtime === 'node'
        ? 'const at = process.env.NODE_OPTIONS; exports.handler = () => [at, process.env.LD_PRELOAD, Object.keys(process.env).length];'
        : 'import os\nat = os.environ["NODE_OPTIONS"]\ndef handler(event, context):\n  return [at, os.environ["LD_PRELOAD"], len(os.environ)]\n';
    await running.client.deploy(`hostile-${runtime}`, {
      runtime,
      handler: 'index.handler',
      env: hostile,
      files: [{ path: runtime === 'node' ? 'index.cjs' : 'index.py', content: code }],
    });
    for (let call = 0; call < 3; call++) {
      const { result } = await running.client.invoke(`hostile-${runtime}`);
      expect(result).toEqual([hostile.NODE_OPTIONS, hostile.LD_PRELOAD, expect.any(Number)]);
    }
  });

  test('the next call has none of them', async () => {
    await running.client.run({ runtime, files: [sees[runtime]], env: hostile });
    const { stdout } = await running.client.run({ runtime, files: [sees[runtime]] });
    const names = Object.keys(JSON.parse(stdout));
    expect(names.filter((name) => name in hostile && !['PATH', 'HOME'].includes(name))).toEqual([]);
  });
});

test('a shell is loaded by its own loader, in the sandbox, after all that is ours', async () => {
  const { LD_PRELOAD, NODE_OPTIONS, LD_LIBRARY_PATH } = hostile;
  const { outcome, stdout, stderr } = await running.client.run({
    runtime: 'bash',
    files: [sees.bash, ...evil],
    env: { LD_PRELOAD, NODE_OPTIONS, LD_LIBRARY_PATH },
  });
  expect({ outcome, stdout }).toEqual({
    outcome: { status: 'ok' },
    stdout: `${NODE_OPTIONS}|${LD_LIBRARY_PATH}\n`,
  });
  // The control: the loader of the program did heed it, and found that it is no library.
  expect(stderr).toContain('evil.so');
  expect(await running.client.run({ runtime: 'bash', code: 'echo $LD_PRELOAD' })).toMatchObject({
    stdout: '\n',
    stderr: '',
  });
});
