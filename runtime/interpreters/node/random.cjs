'use strict';
// Random numbers of a function that was initialised in its zygote: each fork would continue where initialisation stopped,
// and all in the same way.
const { randomInt, randomUUID } = require('node:crypto');
const v8 = require('node:v8');
const vm = require('node:vm');
const { delegateTo, seedAll, unwatchedContext } = require('/.oncebox/contexts.cjs');
const native = require('/.oncebox/zygote.node');

/** Of lib/internal/crypto/random.js: both are drawn ahead of their use. */
const cachedIds = 128;
const cachedInts = 1024;

let draw = Math.random;
/** A generator that nobody asked before the fork; it takes its seed at its first number. */
let untouched;

module.exports = { delegate, renew };

/** Before user code, which may keep `Math.random` for itself: what it then has follows `renew`. */
function delegate() {
  untouched = vm.runInContext('Math.random', unwatchedContext());
  Math.random = { random: () => draw() }.random;
  delegateTo(() => draw());
  useUp(); // forks find it compiled
}

/** In the fork. */
function renew() {
  v8.setFlagsFromString(`--random-seed=${native.random()}`);
  untouched();
  // Or every other context and worker of this process would begin with the same seed.
  v8.setFlagsFromString('--random-seed=0');
  draw = untouched;
  seedAll();
  useUp();
}

/** What is left of what was drawn ahead; what follows is the fork's own. */
function useUp() {
  for (let count = 0; count < cachedIds; count++) randomUUID();
  for (let count = 0; count < cachedInts; count++) randomInt(2);
}
