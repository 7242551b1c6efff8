'use strict';
// Node's clocks for a function that was initialised in its zygote. Nothing passes for them between the end of
// initialisation and the job: what initialisation noted is as long ago as if it had run in the sandbox.
const { performance } = globalThis;
const { hrtime } = process;
const now = performance.now.bind(performance);
const bigint = hrtime.bigint.bind(hrtime);
const realOrigin = performance.timeOrigin;

/** Milliseconds on the process's own clock. */
let startedAt = 0;
let stoppedAt = 0;
let hidden = 0;
let hiddenNs = 0n;

module.exports = { start, stop, resume };

/** From now on they count from zero. */
function start() {
  startedAt = now();
  const prototype = Object.getPrototypeOf(performance);
  const elapsed = () => now() - startedAt - hidden;
  Object.defineProperty(prototype, 'now', {
    ...Object.getOwnPropertyDescriptor(prototype, 'now'),
    value: { now: () => elapsed() }.now,
  });
  Object.defineProperty(prototype, 'timeOrigin', {
    get: () => realOrigin + startedAt + hidden,
    enumerable: true,
    configurable: true,
  });
  process.uptime = { uptime: () => elapsed() / 1000 }.uptime;
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
  stoppedAt = now();
  return stoppedAt - startedAt;
}

function resume() {
  hidden = now() - stoppedAt;
  hiddenNs = BigInt(Math.round(hidden * 1e6));
}
