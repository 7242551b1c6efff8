'use strict';
// A function's initialisation in a zygote of its own, and what it must not leave there.
const { createHook } = require('node:async_hooks');
const clock = require('/.oncebox/clock.cjs');
const { loadHandler, provideHooks } = require('/.oncebox/handler.cjs');
const random = require('/.oncebox/random.cjs');

/** Taken before user code can replace them. */
const { clearInterval, setImmediate, setInterval } = globalThis;
const activeResources = process.getActiveResourcesInfo.bind(process);

/** What initialisation began without waiting for it may take so long, milliseconds. */
const quietWithinMs = 2000;

module.exports = { initialise, renewInitialised, resumeInitialised };

const timers = [];
let workers = 0;
let workingDir;

/** Resolves with the handler and the time it took, milliseconds; rejects when forks of this process would be unfit. */
async function initialise({ handler, env, workingDir: startsIn = '/work' }) {
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, env);
  process.argv = [process.execPath];
  process.execArgv = [];
  process.chdir(startsIn); // as it is in sandboxes
  provideHooks();
  random.delegate();
  const before = countResources();
  const watch = createHook({
    init(_id, type, _trigger, resource) {
      if (type === 'Timeout') timers.push(new WeakRef(resource));
    },
  });
  const onWorker = (worker) => {
    workers += 1;
    worker.once('exit', () => {
      workers -= 1;
    });
  };
  process.on('worker', onWorker);
  watch.enable();
  clock.hideTime();
  const callee = await loadHandler(handler);
  const initMs = clock.stop();
  await quiet(before);
  watch.disable();
  process.off('worker', onWorker);
  clock.stop();
  workingDir = process.cwd();
  return { callee, initMs };
}

/** In the fork, while it is parked. */
function renewInitialised() {
  random.renew();
  if (process.cwd() !== workingDir) process.chdir(workingDir);
}

/** In the fork, when its job has come: clocks and timers go on. */
function resumeInitialised() {
  clock.resume();
  for (const reference of timers) {
    const timer = reference.deref();
    if (timer && !timer._destroyed) timer.refresh();
  }
}

/** Resolves when nothing is under way but timers. */
function quiet(before) {
  const deadline = Date.now() + quietWithinMs;
  return new Promise((resolve, reject) => {
    // Not from setInterval's own phase: the caller forks, and that is done where no handle is in hand.
    const interval = setInterval(() => {
      const left = leftSince(before);
      if (left.length > 0 && Date.now() < deadline) return;
      clearInterval(interval);
      if (left.length > 0) reject(new Error(`initialisation left open: ${left.join(', ')}`));
      else setImmediate(resolve);
    }, 2);
  });
}

function leftSince(before) {
  const left = [...countResources()].filter(([name, count]) => count > (before.get(name) ?? 0));
  const names = left.map(([name]) => name);
  return workers > 0 ? [...names, 'Worker'] : names;
}

function countResources() {
  const counts = new Map();
  for (const name of activeResources()) {
    if (name !== 'Timeout' && name !== 'Immediate') counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
