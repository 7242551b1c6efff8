'use strict';
// The node zygote: warms node's own lazily loaded parts, then forks into sandboxes. Everything above `serve()` runs
// once, before any user code is known; everything below runs in the child, confined. CommonJS, because the fork
// happens in the middle of this synchronous file. See runtime/interpreters/README.md.
const { readlinkSync } = require('node:fs');
const { inspect } = require('node:util');
const v8 = require('node:v8');
const native = require('/.oncebox/zygote.node');

const rehearsals = 50;
/** Of whom this is the zygote. */
const functionInit = process.env.ONCEBOX_INIT;
delete process.env.ONCEBOX_INIT;

// Compiled whole, now, and not function by function in every child.
v8.setFlagsFromString('--no-lazy');
const { prepare, rehearse, rehearseInSandbox, run, runInitialised } = require('/.oncebox/program.cjs');
const { rehearseHttp } = require('/.oncebox/http.cjs');
v8.setFlagsFromString('--lazy');

// Loaded here, once: what most programs reach for.
const preloaded =
  'assert buffer child_process events fs/promises http https net os perf_hooks querystring readline stream ' +
  'stream/promises timers/promises';
for (const name of preloaded.split(' ')) require(`node:${name}`);
void [globalThis.fetch, globalThis.Headers, globalThis.Request, globalThis.Response, globalThis.performance];
void [globalThis.crypto, globalThis.AbortController, globalThis.structuredClone, globalThis.URLSearchParams];

// Programs run, so that children find node's loader, console and streams compiled and in place. Their stdout is this one:
// fd 1 is a pipe here as it is there. Often, so that what they run through is past the interpreter's first steps: those
// write to memory that a child would have to copy.
// Without the optimizing compilers, or it would be in the children that they find it worth their while.
for (const compiler of ['maglev', 'turbofan']) v8.setFlagsFromString(`--no-${compiler}`);
prepare();
console.log();
console.error();
for (let i = 0; i < rehearsals; i++) {
  rehearse();
  rehearseHttp();
}
for (const compiler of ['maglev', 'turbofan']) v8.setFlagsFromString(`--${compiler}`);

if (functionInit === undefined) serveAnything();
else serveFunction(JSON.parse(functionInit));

function serveAnything() {
  collectGarbage();
  native.serve(0);
  renew();
  // Once more, in the child: it takes most of the page faults of a first run while nobody waits.
  rehearseInSandbox();
  run(JSON.parse(native.waitJob()));
}

/** Runs the function's initialisation here, once for all its invocations. */
async function serveFunction(init) {
  v8.setFlagsFromString('--no-lazy');
  const { initialise, renewInitialised, resumeInitialised } = require('/.oncebox/initialise.cjs');
  v8.setFlagsFromString('--lazy');
  const { callee, initMs } = await initialise(init).catch((error) => {
    process.stderr.write(`${inspect(error)}\n`);
    return native.exit(1);
  });
  collectGarbage();
  native.serve(Math.min(Math.round(initMs * 1000), 0x7fffffff));
  renewProcess();
  renewInitialised();
  const job = JSON.parse(native.waitJob());
  resumeInitialised();
  runInitialised(job, callee);
}

/** The collector's work is done before the fork, so that it does not copy shared pages after it. */
function collectGarbage() {
  v8.setFlagsFromString('--expose-gc');
  require('node:vm').runInNewContext('gc')();
  v8.setFlagsFromString('--no-expose-gc');
  // It sweeps only when memory is wanted, which would be in the children; who counts all code needs it swept now.
  v8.getHeapCodeStatistics();
}

/** What every fork would otherwise have in common with its siblings, or could tell itself a fork by. */
function renew() {
  const { env } = process;
  for (const name of Object.keys(env)) delete env[name];
  // Read when a context first needs random numbers, which is after this: the zygote never asked for one.
  v8.setFlagsFromString(`--random-seed=${native.random()}`);
  Math.random();
  // Or every other context and worker of this process would begin with the same seed.
  v8.setFlagsFromString('--random-seed=0');
  process.execArgv = [];
  renewProcess();
}

function renewProcess() {
  // Of the sandbox's pid namespace, not of the zygote's.
  Object.defineProperty(process, 'pid', { value: readlinkSync('/proc/self') | 0 });
  process.chdir('.'); // drops node's cached working directory: the native part has entered the sandbox's
}
