'use strict';
// A function's module: how its handler is found, and the hooks that it may register. Used in the sandbox, and in a
// function's zygote before there is one.
const { existsSync } = require('node:fs');
const { pathToFileURL } = require('node:url');
const { provideAwsLambda } = require('/.oncebox/awslambda.cjs');

const hooks = [];
let haveRun = false;

module.exports = { loadHandler, provideHooks, runHooks };

/**
 * Evaluates the module. Resolves with the function, or an object whose `fetch` is one; rejects with what it throws, or when
 * there is none.
 */
async function loadHandler(handler) {
  const dot = handler.lastIndexOf('.');
  const file = handler.slice(0, dot);
  const name = handler.slice(dot + 1);
  const extension = ['.mjs', '.js', '.cjs'].find((candidate) => existsSync(`/function/${file}${candidate}`));
  const module = await import(pathToFileURL(`/function/${file}${extension}`).href);
  const callee = module[name] ?? module.default?.[name];
  if (typeof callee !== 'function' && typeof callee?.fetch !== 'function') {
    throw new TypeError(`${file}${extension} does not export a function named ${name}`);
  }
  return callee;
}

/** `oncebox.afterFork(callback)`: the same, whether initialisation runs once for all or in this very sandbox. */
function provideHooks() {
  const afterFork = (callback) => {
    if (typeof callback !== 'function') throw new TypeError('oncebox.afterFork takes a function');
    if (haveRun) throw new Error('oncebox.afterFork belongs to initialisation: the hooks have run');
    hooks.push(callback);
  };
  Object.defineProperty(globalThis, 'oncebox', { value: Object.freeze({ afterFork }), configurable: true });
  provideAwsLambda();
}

/** One after the other, as they were registered; one may register more. */
async function runHooks() {
  for (let index = 0; index < hooks.length; index++) await hooks[index]();
  haveRun = true;
}
