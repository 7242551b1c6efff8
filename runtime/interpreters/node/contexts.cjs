'use strict';
// Random numbers of contexts that a program makes (node:vm). Each takes its seed from the one generator of the process,
// which all forks of a zygote have in the same state; so it is given a seed of its own.
const { syncBuiltinESMExports } = require('node:module');
const v8 = require('node:v8');
const vm = require('node:vm');
const native = require('/.oncebox/zygote.node');

const { createContext, isContext, runInContext, runInNewContext } = vm;
const { prototype } = vm.Script;
const { runInNewContext: runScript } = prototype;

/** Told of each new context. */
let renew = seed;

module.exports = { watchContexts, delegateTo, seedAll, unwatchedContext };

/** One that has no seed yet. */
function unwatchedContext() {
  return createContext();
}

/** Before user code, which may keep these functions. */
function watchContexts() {
  vm.createContext = {
    createContext(object = {}, options = undefined) {
      const isNew = typeof object === 'symbol' || !isContext(object);
      const context = createContext(object, options);
      if (isNew) renew(context);
      return context;
    },
  }.createContext;
  vm.runInNewContext = {
    runInNewContext: (code, object, options) => runInNewContext(code, contextOf(object, options), options),
  }.runInNewContext;
  prototype.runInNewContext = {
    runInNewContext(object, options) {
      return runScript.call(this, contextOf(object, options), options);
    },
  }.runInNewContext;
  syncBuiltinESMExports();
}

/** In a zygote that initialises a function: contexts of before the fork draw from `draw` for good. */
function delegateTo(draw) {
  renew = (context) =>
    inContext('(draw) => { Math.random = { random: () => draw() }.random; }', context)?.(draw);
}

/** In the fork: those that are made from now on. */
function seedAll() {
  renew = seed;
}

function seed(context) {
  // Read when a context first needs random numbers, which is now.
  v8.setFlagsFromString(`--random-seed=${native.random()}`);
  inContext('Math.random()', context);
  // Or every other context and worker of this process would begin with the same seed.
  v8.setFlagsFromString('--random-seed=0');
}

/** Where `Math` is the context's own, and not what the program put there. */
function inContext(code, context) {
  return Object.hasOwn(context, 'Math') && !isOwnMath(context) ? undefined : runInContext(code, context);
}

/** Of a context that is its own global object. */
function isOwnMath(context) {
  return !Object.getOwnPropertyDescriptor(context, 'Math').enumerable;
}

/** What node would make of it by itself; what node would refuse goes to node. */
function contextOf(object, options) {
  const settings = typeof options === 'string' ? {} : (options ?? {});
  const isRefused = typeof settings !== 'object' || object === null;
  if (isRefused || (object !== undefined && typeof object !== 'object' && typeof object !== 'symbol'))
    return object;
  const { contextName, contextOrigin, contextCodeGeneration, microtaskMode } = settings;
  return vm.createContext(object, {
    name: contextName,
    origin: contextOrigin,
    codeGeneration: contextCodeGeneration,
    microtaskMode,
  });
}
