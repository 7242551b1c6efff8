import { expect, test } from 'vitest';
import { useFunctionZones } from '../support/function-zones.ts';
import { useZones } from '../support/zones.ts';

const { run, zone } = useZones();
const { initialised } = useFunctionZones();

/** Everything that two forks of one zygote could have in common and that a program would take for its own. */
const drawNode = `
  const crypto = require('node:crypto'), fs = require('node:fs'), vm = require('node:vm');
  const { Worker } = require('node:worker_threads');
  const draw = async () => {
    const worker = new Worker('require("worker_threads").parentPort.postMessage([Math.random(), crypto.randomUUID()])', { eval: true });
    const [workerRandom, workerId] = await new Promise((resolve) => worker.once('message', resolve));
    return {
      random: Math.random(), bytes: crypto.randomBytes(8).toString('hex'), id: crypto.randomUUID(),
      webId: globalThis.crypto.randomUUID(), int: crypto.randomInt(2 ** 40), workerRandom, workerId,
      values: String(globalThis.crypto.getRandomValues(new Uint32Array(2))),
      context: vm.runInNewContext('Math.random()'), script: new vm.Script('Math.random()').runInNewContext(),
      made: vm.runInContext('Math.random()', vm.createContext({ own: 1 })),
      key: crypto.generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).toString('hex'),
      directory: fs.mkdtempSync('/tmp/a-'), blob: URL.createObjectURL(new Blob(['x'])),
      boundary: (await new Response(new FormData()).text()).slice(0, 60),
      pipe: fs.fstatSync(1).ino, origin: performance.timeOrigin, hrtime: String(process.hrtime.bigint()),
    };
  };`;

const drawPython = `
import email.generator, email.utils, hashlib, json, multiprocessing, os, random, secrets, ssl, tempfile, time, uuid
def draw():
    return {"random": random.random(), "instance": random.Random().random(), "system": random.SystemRandom().random(),
            "uuid1": str(uuid.uuid1()), "node": uuid.getnode(), "uuid4": str(uuid.uuid4()), "secret": secrets.token_hex(8),
            "urandom": os.urandom(8).hex(), "name": next(tempfile._get_candidate_names()), "file": tempfile.mkstemp()[1],
            "authkey": multiprocessing.current_process().authkey.hex(), "ssl": ssl.RAND_bytes(8).hex(),
            "mail": email.utils.make_msgid(domain="x"), "boundary": email.generator._make_boundary(),
            "pipe": os.fstat(1).st_ino, "monotonic": time.monotonic_ns()}
`;

type Drawn = Record<string, unknown>;

/** They tell when a sibling began, and two may begin at once: node's origin knows quarters of a microsecond. */
const clockNames = new Set(['origin', 'hrtime', 'monotonic']);

function expectAllDiffer(drawn: Drawn[]): void {
  expect(drawn.length).toBeGreaterThan(1);
  for (const name of Object.keys(drawn[0] as Drawn)) {
    const values = drawn.map((one) => one[name]);
    const different = new Set(values).size;
    if (clockNames.has(name)) expect(different, `${name}: ${values}`).toBeGreaterThan(drawn.length / 2);
    else expect(different, `${name}: ${values}`).toBe(drawn.length);
  }
}

/** What each has printed; one that printed nothing says why. */
function drawnBy(ran: { outcome: { status: string }; stdout: string; stderr: string }[]): Drawn[] {
  return ran.map(({ outcome, stdout, stderr }) => {
    expect(outcome.status, `${JSON.stringify(outcome)} ${stderr}`).toBe('ok');
    return JSON.parse(stdout);
  });
}

const eight = [1, 2, 3, 4, 5, 6, 7, 8];
/** Eight programs with a worker each at once, on a machine that may have much else to do. */
const patient = { wallMs: 120_000, cpuMs: 60_000 };

test('eight node siblings have no number, name or key in common', async () => {
  const program = `${drawNode} draw().then((drawn) => console.log(JSON.stringify(drawn)));`;
  const ran = await Promise.all(eight.map(() => run('node', program, { limits: patient })));
  expectAllDiffer(drawnBy(ran));
});

test('eight python siblings have no number, name or key in common', async () => {
  const program = `${drawPython}\nprint(json.dumps(draw()))`;
  const ran = await Promise.all(eight.map(() => run('python', program, { limits: patient })));
  expectAllDiffer(drawnBy(ran));
});

test("nor have forks of a node function's zygote, whatever its initialisation has drawn and kept", async () => {
  const { call } = await initialised('node', {
    'index.cjs': `${drawNode}
      const kept = vm.createContext();
      vm.runInContext('Math.random()', kept);
      const before = [Math.random(), crypto.randomUUID(), vm.runInNewContext('Math.random()')];
      exports.handler = async () => ({ before, drawn: { ...(await draw()), kept: vm.runInContext('Math.random()', kept) } });`,
  });
  const called = await Promise.all(eight.map(() => call(null, patient)));
  for (const { outcome } of called) expect(outcome.status, JSON.stringify(outcome)).toBe('ok');
  expect(new Set(called.map(({ value }) => String(value.before))).size, 'the control').toBe(1);
  expectAllDiffer(called.map(({ value }) => value.drawn));
});

test("nor have forks of a python function's zygote, whatever its initialisation has drawn and kept", async () => {
  const { call } = await initialised('python', {
    'index.py': `${drawPython}
def names():
    return [random.random(), str(uuid.uuid1()), uuid.getnode(), multiprocessing.current_process().authkey.hex()]
before = names()
def handler(event, context):
    return {"before": before, "drawn": draw()}
`,
  });
  const called = await Promise.all(eight.map(() => call(null, patient)));
  expect(new Set(called.map(({ value }) => String(value.before))).size, 'the control').toBe(1);
  expectAllDiffer(called.map(({ value }) => value.drawn));
});

/** Each of node's clocks, as milliseconds since the program began. */
const clocks = `
  const { Worker } = require('node:worker_threads');
  const worker = () => new Promise((resolve) => {
    new Worker('require("worker_threads").parentPort.postMessage([performance.now(), performance.timeOrigin])', { eval: true }).once('message', resolve);
  });
  const observe = () => new Promise((resolve) => {
    new PerformanceObserver((list) => resolve(list.getEntries()[0].startTime)).observe({ entryTypes: ['mark'] });
    performance.mark('b');
  });
  const read = async () => {
    const [workerNow, workerOrigin] = await worker();
    return {
      now: performance.now(), marked: performance.mark('a').startTime, observed: await observe(),
      constructed: new PerformanceMark('c').startTime, event: new Event('d').timeStamp,
      measured: performance.measure('e').duration, uptime: process.uptime() * 1000,
      node: performance.nodeTiming.duration, json: performance.toJSON().nodeTiming.duration, workerNow,
      sinceOrigin: Date.now() - performance.timeOrigin, sinceWorkerOrigin: Date.now() - workerOrigin,
    };
  };`;

test('no clock of a node program shows how long its zygote has lived or the sandbox was parked', async () => {
  await zone('node');
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const startedAt = performance.now();
  const { stdout, stderr } = await run(
    'node',
    `${clocks} read().then((all) => console.log(JSON.stringify(all)));`,
  );
  const tookMs = performance.now() - startedAt;
  const all: Record<string, number> = JSON.parse(stdout || stderr);
  for (const [name, ms] of Object.entries(all)) {
    expect(ms, name).toBeGreaterThan(-5);
    expect(ms, name).toBeLessThan(tookMs + 5);
  }
});

test("no clock of a node function counts from its zygote's start", async () => {
  const { call } = await initialised('node', {
    'index.cjs': `${clocks}
      const date = Date.now();
      const noted = performance.mark('init').startTime;
      // The time of the event loop: of a timer that is set it is when that was.
      const { _idleStart: ofLoop } = setTimeout(() => {}, 0);
      exports.handler = async () => ({ noted, ofLoop, all: await read(), sinceDate: Date.now() - date });`,
  });
  const waitsFrom = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const waitedMs = performance.now() - waitsFrom;
  const { value, outcome } = await call();
  expect(outcome.status, JSON.stringify(outcome)).toBe('ok');
  // The loop began with its zygote: initialisation's clocks began later, and stood still while nobody called.
  expect(value.noted).toBeLessThan(value.ofLoop);
  for (const [name, ms] of Object.entries(value.all as Record<string, number>)) {
    expect(ms, name).toBeGreaterThan(-5);
    expect(ms, name).toBeLessThan(value.noted + value.sinceDate - waitedMs + 5);
  }
});

test('contexts of one node program draw different numbers too, and are what node makes of them', async () => {
  const { stdout, stderr } = await run(
    'node',
    `
    const assert = require('node:assert'), vm = require('node:vm');
    const drawn = Array.from({ length: 20 }, () => vm.runInNewContext('Math.random()'));
    assert.equal(new Set(drawn).size, 20);
    const box = { x: 1, Math: { random: () => { throw new Error('mine'); } } };
    assert.equal(vm.createContext(box), box);
    assert.equal(vm.createContext(box), box);
    assert.equal(vm.runInContext('x + 1', box), 2);
    assert.equal(vm.runInNewContext('y = 3; typeof process', { y: 1 }), 'undefined');
    assert.throws(() => vm.runInNewContext('throw new TypeError("there")', {}, 'named.js'), { message: 'there' });
    assert.throws(() => vm.runInNewContext('eval("1")', {}, { contextCodeGeneration: { strings: false } }), /Code generation/);
    assert.throws(() => vm.createContext(5), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => vm.runInNewContext('1', 5), { code: 'ERR_INVALID_ARG_TYPE' });
    assert.throws(() => vm.runInNewContext('1', {}, { contextName: 5 }), { code: 'ERR_INVALID_ARG_TYPE' });
    import('node:vm').then(({ createContext, default: all }) => {
      assert.equal(createContext, vm.createContext);
      assert.equal(all, vm);
      console.log('same');
    });`,
  );
  expect(stdout, stderr).toBe('same\n');
});

test('a python program is the thread that it says it is', async () => {
  const { stdout } = await run(
    'python',
    'import threading, os\nprint(threading.main_thread().native_id == threading.get_native_id() == os.getpid())',
  );
  expect(stdout).toBe('True\n');
});
