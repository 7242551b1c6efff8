'use strict';
// The node zygote: warms node's own lazily loaded parts, then forks into sandboxes. Everything above `serve()` runs
// once, before any user code is known; everything below runs in the child, confined. CommonJS, because the fork
// happens in the middle of this synchronous file. See runtime/interpreters/README.md.
const { randomBytes } = require('node:crypto');
const { mkdirSync, writeFileSync } = require('node:fs');
const { Module } = require('node:module');
const { dirname, resolve } = require('node:path');
const { pathToFileURL } = require('node:url');
const { inspect } = require('node:util');
const v8 = require('node:v8');
const native = require('/.oncebox/zygote.node');

const maxResultBytes = 6 * 1024 * 1024;

// Loaded here, once, instead of in every child: what most programs reach for.
for (const name of [
  'assert',
  'buffer',
  'child_process',
  'events',
  'fs/promises',
  'http',
  'https',
  'net',
  'os',
]) {
  require(`node:${name}`);
}
for (const name of [
  'perf_hooks',
  'querystring',
  'readline',
  'stream',
  'stream/promises',
  'timers/promises',
]) {
  require(`node:${name}`);
}
void [globalThis.fetch, globalThis.Headers, globalThis.Request, globalThis.Response, globalThis.performance];
void [globalThis.crypto, globalThis.AbortController, globalThis.structuredClone, globalThis.URLSearchParams];

// A program runs once, so that its children find node's loader, console and streams compiled and in place. Their
// stdout is this one: fd 1 is a pipe here as it is there.
console.log();
console.error();
Module.runMain('/.oncebox/warm-up/index.js');
delete require.cache['/.oncebox/warm-up/index.js'];

// The collector's work is done before the fork, so that it does not copy shared pages after it.
v8.setFlagsFromString('--expose-gc');
require('node:vm').runInNewContext('gc')();
v8.setFlagsFromString('--no-expose-gc');

const control = native.serve();

renew();
run(JSON.parse(native.waitJob(control)));

/** What every fork would otherwise have in common with its siblings, or could tell itself a fork by. */
function renew() {
  const { env } = process;
  for (const name of Object.keys(env)) delete env[name];
  // Read when a context first needs random numbers, which is after this: the zygote never asked for one.
  v8.setFlagsFromString(`--random-seed=${randomBytes(4).readInt32LE() & 0x7fffffff || 1}`);
  // Of the sandbox's pid namespace, not of the zygote's.
  Object.defineProperty(process, 'pid', { value: require('node:fs').readlinkSync('/proc/self') | 0 });
  process.execArgv = [];
  process.chdir('/work'); // also drops node's cached working directory
}

/** The clock starts when the program does: to it, the wait of the parked process has not happened. */
function renewClock() {
  const { performance } = globalThis;
  const prototype = Object.getPrototypeOf(performance);
  const { now } = prototype;
  const started = now.call(performance);
  const timeOrigin = performance.timeOrigin + started;
  Object.defineProperty(prototype, 'now', {
    ...Object.getOwnPropertyDescriptor(prototype, 'now'),
    value: { now: () => now.call(performance) - started }.now,
  });
  Object.defineProperty(prototype, 'timeOrigin', {
    get: () => timeOrigin,
    enumerable: true,
    configurable: true,
  });
  process.uptime = { uptime: () => (now.call(performance) - started) / 1000 }.uptime;
}

function run(job) {
  renewClock();
  Object.assign(process.env, job.env);
  leaveByExit();
  reportUncaught();
  if (job.kind === 'snippet') runSnippet(job);
  else callHandler(job);
}

function runSnippet(job) {
  for (const { path, content, encoding } of job.files) {
    if (path.includes('/')) mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.from(content, encoding));
  }
  process.argv = [process.execPath, resolve(job.entry), ...job.args];
  // Node's own way to start a program: ESM or CommonJS by extension, package.json or syntax.
  Module.runMain(process.argv[1]);
}

async function callHandler({ handler, eventJson, context }) {
  process.argv = [process.execPath];
  const dot = handler.lastIndexOf('.');
  const file = handler.slice(0, dot);
  const name = handler.slice(dot + 1);
  try {
    const { existsSync } = require('node:fs');
    const extension = ['.mjs', '.js', '.cjs'].find((candidate) =>
      existsSync(`/function/${file}${candidate}`),
    );
    const module = await import(pathToFileURL(`/function/${file}${extension}`).href);
    const callee = module[name] ?? module.default?.[name];
    if (typeof callee !== 'function') {
      throw new TypeError(`${file}${extension} does not export a function named ${name}`);
    }
    const value = await callee(JSON.parse(eventJson), {
      ...context,
      awsRequestId: context.invocationId,
      getRemainingTimeInMillis: () => Math.max(0, context.deadlineMs - Date.now()),
    });
    send({ type: 'result', value });
    process.exit(0);
  } catch (error) {
    fail(error);
  }
}

function send(message) {
  const text = JSON.stringify(message);
  const bytes = Buffer.from(text);
  if (bytes.length > maxResultBytes) {
    throw new RangeError(`the handler's result is ${bytes.length} bytes; the most is ${maxResultBytes}`);
  }
  native.sendResult(control, bytes);
}

/** Prints the error as node would and makes it the outcome. */
function fail(error) {
  const isError = error instanceof Error || Object.prototype.toString.call(error) === '[object Error]';
  const shown = isError ? inspect(error) : `Uncaught ${inspect(error)}`;
  process.stderr.write(`${shown}\n`);
  const cut = (value) => String(value).slice(0, 65536);
  send({
    type: 'error',
    name: cut(isError ? error.name : 'Error').slice(0, 256),
    message: cut(isError ? error.message : inspect(error)),
    stack: cut((isError && error.stack) || shown),
  });
  process.exit(1);
}

/** A fork must leave by _exit(2): a normal exit joins threads that exist only in the zygote. */
function leaveByExit() {
  process.reallyExit = (code) => native.exit(code || 0);
  const { emit } = process;
  process.emit = function (event, ...args) {
    const result = emit.call(this, event, ...args);
    // Node's last word, whether the loop ran dry or process.exit() was called; exit handlers have run.
    if (event === 'exit') native.exit(process.exitCode ?? args[0] ?? 0);
    return result;
  };
}

/** Node prints an uncaught error after 'exit', which here never returns. */
function reportUncaught() {
  process.on('uncaughtExceptionMonitor', (error) => {
    if (process.listenerCount('uncaughtException') === 0) fail(error);
  });
}
