import { expect, test } from 'vitest';
import { initMsOf } from '../../runtime/sandbox/init-time.ts';
import { useFunctionZones } from '../support/function-zones.ts';

const { initialised, ordinary } = useFunctionZones();

const slow = {
  node: {
    'index.mjs': `
      for (const end = performance.now() + 400; performance.now() < end; );
      let calls = 0;
      export const handler = () => ({ calls: ++calls });`,
  },
  python: {
    'index.py': `
import time
end = time.monotonic() + 0.4
while time.monotonic() < end: pass
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return {"calls": calls}
`,
  },
};

test.each(['node', 'python'] as const)(
  'a %s function has its slow imports once, and counts from one each time',
  async (runtime) => {
    const shared = await initialised(runtime, slow[runtime]);
    const alone = await ordinary(runtime, slow[runtime]);
    expect(shared.zone.initMs).toBeGreaterThanOrEqual(400);
    for (let i = 0; i < 3; i++) {
      const called = await shared.call();
      expect(called.value).toEqual({ calls: 1 });
      expect(initMsOf(called.report)).toBeUndefined();
    }
    const called = await alone.call();
    expect(called.value).toEqual({ calls: 1 });
    expect(called.report.runUsec).toBeGreaterThan(390_000);
    expect(initMsOf(called.report)).toBeGreaterThanOrEqual(390);
    expect((await shared.zone.memory()).memoryBytes).toBeGreaterThan(2 ** 20);
  },
);

test('what a node invocation changes, the next does not see, and all begin alike', async () => {
  const { call } = await initialised(
    'node',
    {
      'index.mjs': `
      import fs from 'node:fs';
      const state = { list: [1], map: new Map([['a', { deep: 1 }]]), bytes: new Uint8Array(70_000) };
      process.env.ADDED = 'in initialisation';
      process.chdir('/function');
      console.log('said once, to the operator');
      export const handler = ({ mark }) => {
        const before = JSON.stringify([state.list, [...state.map], state.bytes[65_000], process.env.ADDED,
          process.env.GIVEN, globalThis.marked, fs.readdirSync('/tmp'), process.cwd(), Object.keys(process.env).length]);
        state.list.push(mark);
        state.map.get('a').deep = mark;
        state.bytes.fill(mark);
        process.env.ADDED = mark;
        globalThis.marked = mark;
        fs.writeFileSync('/tmp/' + mark, mark);
        fs.readdirSync = () => [mark];
        return before;
      };`,
    },
    { env: { GIVEN: 'by the version' } },
  );
  const called = await call({ mark: '7' });
  expect(called.stdout).toBe('');
  const first = called.value;
  expect(JSON.parse(first).slice(0, 8)).toEqual([
    [1],
    [['a', { deep: 1 }]],
    0,
    'in initialisation',
    'by the version',
    null,
    [],
    '/function',
  ]);
  const rest = await Promise.all([2, 3, 4, 5].map((mark) => call({ mark: String(mark) })));
  expect(rest.map(({ value }) => value)).toEqual([first, first, first, first]);
});

test('what a python invocation changes, the next does not see, and all begin alike', async () => {
  const { call } = await initialised(
    'python',
    {
      'index.py': `
import os, gc, sys, lib.other
state = {"list": [1]}
os.environ["ADDED"] = "in initialisation"
print("said once, to the operator")
def handler(event, context):
    before = [list(state["list"]), os.environ["ADDED"], os.environ["GIVEN"], lib.other.value, os.listdir("/tmp"),
              os.getcwd(), sys.argv, len(os.environ), gc.isenabled()]
    state["list"].append(event)
    os.environ["ADDED"] = "x"
    lib.other.value = event
    open("/tmp/x", "w").close()
    print("said here")
    return before
`,
      'lib/__init__.py': '',
      'lib/other.py': 'value = 1',
    },
    { env: { GIVEN: 'by the version' } },
  );
  const called = await call(7);
  expect(called.value.slice(0, 7)).toEqual([
    [1],
    'in initialisation',
    'by the version',
    1,
    [],
    '/work',
    [''],
  ]);
  expect(called.stdout).toBe('said here\n');
  for (let i = 0; i < 3; i++) expect((await call(8)).value).toEqual(called.value);
});

test('twenty node invocations draw twenty different numbers, whatever initialisation has drawn and kept', async () => {
  const { call } = await initialised('node', {
    'index.mjs': `
      import { randomBytes, randomInt, randomUUID, webcrypto } from 'node:crypto';
      const { random } = Math;
      const webUUID = crypto.randomUUID.bind(crypto);
      const draw = () => ({
        random: random(), again: Math.random(), id: randomUUID(), webId: webUUID(), int: randomInt(2 ** 40),
        bytes: randomBytes(8).toString('hex'),
        values: String(webcrypto.getRandomValues(new Uint32Array(2))),
      });
      const drawn = draw();
      for (let i = 0; i < 5; i++) draw();
      export const handler = () => [drawn, draw()];`,
  });
  const values = [];
  for (let i = 0; i < 4; i++) values.push(...(await Promise.all([1, 2, 3, 4, 5].map(() => call()))));
  const drawn = values.map(({ value }) => value[0]);
  expect(new Set(drawn.map((one) => JSON.stringify(one))).size, 'the state is the same').toBe(1);
  for (const kind of Object.keys(drawn[0])) {
    expect(new Set(values.map(({ value }) => value[1][kind])).size, kind).toBe(20);
  }
});

test('twenty python invocations draw twenty different numbers, whatever initialisation has drawn and kept', async () => {
  const { call } = await initialised('python', {
    'index.py': `
import random, uuid, secrets, tempfile, os
from random import random as draw_one
def draw():
    return {"random": draw_one(), "randint": random.randint(0, 2**60), "uuid4": str(uuid.uuid4()), "uuid1": str(uuid.uuid1()),
            "secret": secrets.token_hex(8), "urandom": os.urandom(8).hex(), "name": next(tempfile._get_candidate_names())}
drawn = draw()
def handler(event, context):
    return [drawn, draw()]
`,
  });
  const values = [];
  for (let i = 0; i < 4; i++) values.push(...(await Promise.all([1, 2, 3, 4, 5].map(() => call()))));
  const drawn = values.map(({ value }) => value[0]);
  expect(new Set(drawn.map((one) => JSON.stringify(one))).size, 'the state is the same').toBe(1);
  for (const kind of Object.keys(drawn[0])) {
    expect(new Set(values.map(({ value }) => value[1][kind])).size, kind).toBe(20);
  }
});

test('what initialisation has used works in a fork: files, thread pool, names, child processes, signals, wasm', async () => {
  const { call } = await initialised('node', {
    'index.mjs': `
      import { execFile, execFileSync } from 'node:child_process';
      import { pbkdf2, scrypt } from 'node:crypto';
      import { lookup } from 'node:dns/promises';
      import { readFile, writeFile } from 'node:fs/promises';
      import { promisify } from 'node:util';
      import { gzip } from 'node:zlib';
      const wasm = new Uint8Array([0,97,115,109,1,0,0,0,1,5,1,96,0,1,127,3,2,1,0,7,5,1,1,102,0,0,10,6,1,4,0,65,42,11]);
      const all = async () => [
        (await readFile('/function/index.mjs', 'utf8')).length > 100,
        (await promisify(pbkdf2)('a', 'b', 1000, 8, 'sha256')).toString('hex'),
        (await promisify(gzip)('abc')).length,
        (await lookup('127.0.0.1')).address,
        (await promisify(execFile)('/bin/sh', ['-c', 'echo child'])).stdout,
        String(execFileSync('/bin/sh', ['-c', 'echo sync'])),
        (await WebAssembly.instantiate(wasm)).instance.exports.f(),
        new Intl.NumberFormat('de').format(1234.5),
      ];
      process.on('SIGUSR2', () => {});
      const there = await all();
      export const handler = async () => {
        await writeFile('/tmp/a', 'x');
        const signal = new Promise((resolve) => process.on('SIGUSR2', resolve));
        process.kill(process.pid, 'SIGUSR2');
        return [JSON.stringify(await all()) === JSON.stringify(there), (await readFile('/tmp/a', 'utf8')), await signal, there.length];
      };`,
  });
  const called = await Promise.all([call(), call()]);
  for (const { value, stderr } of called) expect(value, stderr).toEqual([true, 'x', 'SIGUSR2', 8]);
});

test('a python fork has threads, processes, event loops and queues, as initialisation had them', async () => {
  const { call } = await initialised('python', {
    'index.py': `
import asyncio, concurrent.futures, hashlib, logging, queue, sqlite3, subprocess, sys, threading
logging.basicConfig(stream=sys.stderr)
lock = threading.Lock()
def use():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        squares = list(pool.map(lambda n: n * n, range(3)))
    async def nap():
        await asyncio.sleep(0.001)
        return "napped"
    with lock:
        return [squares, asyncio.run(nap()), subprocess.run(["/bin/echo", "child"], capture_output=True).stdout.decode(),
                hashlib.sha256(b"a").hexdigest()]
there = use()
def handler(event, context):
    logging.warning("logged")
    return use() == there
`,
  });
  for (const { value, stderr } of await Promise.all([call(), call()])) {
    expect(value, stderr).toBe(true);
    expect(stderr).toBe('WARNING:root:logged\n');
  }
});

test.each([
  [
    'an ECMAScript module with top-level await',
    {
      'index.mjs': `
    import { sub } from './sub.mjs';
    const value = await new Promise((resolve) => setTimeout(() => resolve(sub), 20));
    export async function handler() { return value; }`,
      'sub.mjs': 'export const sub = 5;',
    },
  ],
  [
    'a CommonJS module',
    {
      'index.js': `
    const { sub } = require('./sub.js');
    exports.handler = async () => require('./sub.js').sub + require('./late.js') - sub;`,
      'sub.js': 'exports.sub = 4;',
      'late.js': 'module.exports = 5',
    },
  ],
  ['a default export', { 'index.mjs': 'export default { handler: () => 5 };' }],
  [
    'one that imports at its first call',
    {
      'index.mjs': `
    export const handler = async () => (await import('./late.mjs')).late;`,
      'late.mjs': 'export const late = 5;',
    },
  ],
])('%s is initialised ahead', async (_, files) => {
  const { call } = await initialised('node', files as Record<string, string>);
  expect((await call()).value).toBe(5);
});

const hooks = {
  node: {
    'index.mjs': `
      const order = [];
      oncebox.afterFork(() => order.push(['first', process.pid]));
      oncebox.afterFork(async () => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        order.push('second');
        if (process.env.FAIL) throw new RangeError('no connection');
      });
      export const handler = () => {
        let late;
        try { oncebox.afterFork(() => {}); } catch (error) { late = error.message; }
        return { order, late, pid: process.pid };
      };`,
  },
  python: {
    'index.py': `
import asyncio, os
import oncebox
order = []
os.register_at_fork(after_in_child=lambda: order.append("at fork"))
@oncebox.after_fork
def first():
    order.append(["first", os.getpid()])
@oncebox.after_fork
async def second():
    await asyncio.sleep(0.005)
    order.append("second")
    if os.environ.get("FAIL"): raise ValueError("no connection")
def handler(event, context):
    late = None
    try: oncebox.after_fork(first)
    except RuntimeError as error: late = str(error)
    return {"order": [one for one in order if one != "at fork"], "late": late, "pid": os.getpid(), "forks": order.count("at fork")}
`,
  },
};

test.each(['node', 'python'] as const)(
  'hooks of a %s function run after the fork, in order, before the handler; with a zygote or without',
  async (runtime) => {
    for (const how of [initialised, ordinary]) {
      const { value } = await (await how(runtime, hooks[runtime])).call();
      expect(value.order).toEqual([['first', value.pid], 'second']);
      expect(value.late).toMatch(/belongs to initialisation/);
      if (runtime === 'python') expect(value.forks).toBe(how === initialised ? 1 : 0);
      const failing = await how(runtime, hooks[runtime], { env: { FAIL: '1' } });
      const { outcome } = await failing.call();
      expect(outcome).toMatchObject({ status: 'function_error', message: 'no connection' });
    }
  },
);

test('the caps of an invocation hold in a fork of the function', async () => {
  const { call } = await initialised('node', {
    'index.mjs': `
      oncebox.afterFork(() => { while (process.env.SPIN); });
      export const handler = ({ grow, loop }) => {
        if (loop) for (;;);
        const kept = [];
        for (let i = 0; i < grow; i++) kept.push(Buffer.alloc(1 << 20, i));
        return kept.length;
      };`,
  });
  expect((await call({ grow: 1 })).value).toBe(1);
  expect((await call({ loop: true }, { cpuMs: 100 })).outcome).toMatchObject({
    status: 'timeout',
    limit: 'cpu',
  });
  expect((await call({ grow: 200 }, { memoryBytes: 64 << 20 })).outcome.status).toBe('oom_killed');
});
