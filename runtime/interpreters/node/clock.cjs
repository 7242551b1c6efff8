'use strict';
// Node's clocks, moved so that a fork does not see its zygote's. Those of `performance`, its marks and measures, of events
// and of workers count from one origin, which the native part moves. Where it cannot (a node without those symbols),
// `performance.now` at least is put right here.
const native = require('/.oncebox/zygote.node');

const { performance } = globalThis;
const { hrtime } = process;
const now = performance.now.bind(performance);
const bigint = hrtime.bigint.bind(hrtime);
const realOrigin = performance.timeOrigin;

/** By how much the origin is later than node has it, milliseconds; and of that, what node's own clock knows nothing of. */
let moved = 0;
let unknown = 0;
let stoppedAt = 0;
let hiddenNs = 0n;

module.exports = { prepare, restart, hideTime, stop, resume };

const elapsed = () => now() - unknown;

/** In the zygote, once. */
function prepare() {
  const prototype = Object.getPrototypeOf(performance);
  Object.defineProperty(prototype, 'timeOrigin', {
    get: () => realOrigin + moved,
    enumerable: true,
    configurable: true,
  });
  process.uptime = { uptime: () => elapsed() / 1000 }.uptime;
  if (native.moveClock(0)) return;
  Object.defineProperty(prototype, 'now', {
    ...Object.getOwnPropertyDescriptor(prototype, 'now'),
    value: { now: () => elapsed() }.now,
  });
}

/** From now on they count from zero: to a program, the wait of the parked process has not happened. */
function restart() {
  moveBy(elapsed());
}

/**
 * For a function that is initialised in its zygote. Nothing passes for its clocks between the end of initialisation and
 * the job: what initialisation noted is as long ago as if it had run in the sandbox.
 */
function hideTime() {
  restart();
  process.hrtime = Object.assign(
    {
      hrtime(previous) {
        const ns = bigint() - hiddenNs;
        const pair = [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];
        if (previous === undefined) return pair;
        const seconds = pair[0] - previous[0];
        const rest = pair[1] - previous[1];
        return rest < 0 ? [seconds - 1, rest + 1_000_000_000] : [seconds, rest];
      },
    }.hrtime,
    { bigint: () => bigint() - hiddenNs },
  );
}

/** Until `resume`, in a fork. Returns how long they have run, milliseconds. */
function stop() {
  stoppedAt = elapsed();
  return stoppedAt;
}

function resume() {
  const hidden = elapsed() - stoppedAt;
  hiddenNs = BigInt(Math.round(hidden * 1e6));
  moveBy(hidden);
}

function moveBy(ms) {
  moved += ms;
  if (!native.moveClock(Math.round(ms * 1e6))) unknown += ms;
}
