'use strict';
// What a child of the node zygote does with its job. Loaded by the zygote, run in the sandbox.
const { mkdirSync, readFileSync, unlinkSync, writeFileSync } = require('node:fs');
const { Module } = require('node:module');
const { dirname, resolve } = require('node:path');
const { inspect } = require('node:util');
const { callStreaming, isStreaming } = require('/.oncebox/awslambda.cjs');
const clock = require('/.oncebox/clock.cjs');
const { callHandler: call, createContext } = require('/.oncebox/context.cjs');
const { watchContexts } = require('/.oncebox/contexts.cjs');
const { loadHandler, provideHooks, runHooks } = require('/.oncebox/handler.cjs');
const { callHttp, isHttp } = require('/.oncebox/http.cjs');
const { isStreamed, sendStream } = require('/.oncebox/stream.cjs');
const native = require('/.oncebox/zygote.node');

const maxResultBytes = 6 * 1024 * 1024;

module.exports = { prepare, rehearse, rehearseInSandbox, run, runInitialised };

/** What a child would do to itself, done once for all of them: before the fork. */
function prepare() {
  clock.prepare();
  watchContexts();
  leaveByExit();
  reportUncaught();
}

const rehearsal = '/.oncebox/rehearsal.js';
const rehearsalCode = readFileSync(rehearsal, 'utf8');
let isRehearsing = false;

/** In the zygote, where nothing can be written. */
function rehearse() {
  goThrough(rehearsal, '/dev/null');
}

/** In a sandbox, where the zygote's own files are not. */
function rehearseInSandbox() {
  const path = '/tmp/rehearsal.js';
  goThrough(path, path);
  unlinkSync(path);
}

/** All of a job, from its text to the end of the process, with no effect. */
function goThrough(entry, path) {
  const files = [{ path, content: rehearsalCode, encoding: 'utf8' }];
  isRehearsing = true;
  native.silence(true);
  run(JSON.parse(JSON.stringify({ kind: 'snippet', files, entry, args: [], env: {} })));
  process.emit('beforeExit', 0);
  process.emit('exit', 0);
  native.sendResult(Buffer.alloc(0));
  native.silence(false);
  delete require.cache[entry];
  for (const key of Object.keys(Module._pathCache)) delete Module._pathCache[key];
  process.mainModule = undefined;
  isRehearsing = false;
}

function run(job) {
  clock.restart();
  Object.assign(process.env, job.env);
  if (job.kind === 'snippet') runSnippet(job);
  else initialiseAndCall(job);
}

/** In a fork of a function's zygote: the job's environment is that of its initialisation. */
function runInitialised(job, callee) {
  callHandler(job, callee);
}

function runSnippet(job) {
  writeFiles(job.files);
  process.argv = [process.execPath, resolve(job.entry), ...job.args];
  // Node's own way to start a program: ESM or CommonJS by extension, package.json or syntax.
  Module.runMain(process.argv[1]);
}

function writeFiles(files) {
  for (const { path, content, encoding } of files) {
    if (path.includes('/')) mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.from(content, encoding));
  }
}

async function initialiseAndCall(job) {
  process.argv = [process.execPath];
  if (job.workingDir !== undefined) process.chdir(job.workingDir);
  provideHooks();
  const { performance } = globalThis;
  const started = performance.now();
  let callee;
  try {
    callee = await loadHandler(job.handler);
  } catch (error) {
    return fail(error);
  }
  await callHandler(job, callee, performance.now() - started);
}

/** `initMs`: what initialisation has taken here, in the sandbox. */
async function callHandler(job, callee, initMs) {
  try {
    const context = createContext(job.context);
    noteCall(job);
    await runHooks();
    const event = JSON.parse(job.eventJson);
    const value = await resultOf(job, callee, event, context);
    if (isStreamed(value)) await sendStream(value);
    send({ type: 'result', initMs, value: isStreamed(value) ? undefined : value });
    process.exit(0);
  } catch (error) {
    fail(error, initMs);
  }
}

function resultOf(job, callee, event, context) {
  if (isStreaming(callee)) return callStreaming(callee, event, context, job.http === true);
  return isHttp(job, callee) ? callHttp(job, callee, event, context) : call(callee, event, context);
}

/** What of its environment is the call's own. A zygote's is the same for all its forks, so here. */
function noteCall({ callEnv, context: { traceparent, tracestate } }) {
  Object.assign(process.env, callEnv);
  if (traceparent !== undefined) process.env.TRACEPARENT ??= traceparent;
  if (tracestate !== undefined) process.env.TRACESTATE ??= tracestate;
}

function send(message) {
  const text = JSON.stringify(message);
  const bytes = Buffer.from(text);
  if (bytes.length > maxResultBytes) throw tooLarge(bytes.length);
  native.sendResult(bytes);
}

/** By Lambda's name, which it has too where an image's own program is called. */
function tooLarge(length) {
  const name = 'Function.ResponseSizeTooLarge';
  const error = new RangeError(`the handler's result is ${length} bytes; the most is ${maxResultBytes}`);
  return Object.assign(error, { name, stack: `${name}: ${error.message}` });
}

/** Prints the error as node would and makes it the outcome. */
function fail(error, initMs) {
  const isError = error instanceof Error || Object.prototype.toString.call(error) === '[object Error]';
  const shown = isError ? inspect(error) : `Uncaught ${inspect(error)}`;
  process.stderr.write(`${shown}\n`);
  const cut = (value) => String(value).slice(0, 65536);
  send({
    type: 'error',
    initMs,
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
    if (event === 'exit' && !isRehearsing) native.exit(process.exitCode ?? args[0] ?? 0);
    return result;
  };
}

/** Node prints an uncaught error after 'exit', which here never returns. */
function reportUncaught() {
  process.on('uncaughtExceptionMonitor', (error) => {
    if (process.listenerCount('uncaughtException') === 0) fail(error);
  });
}
