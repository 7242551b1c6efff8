'use strict';
// What a handler is told of its invocation beside the event: our names and Lambda's, in one object. And the handlers that do
// not return their result: https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html
module.exports = { callHandler, createContext };

const bytesPerMebibyte = 1024 * 1024;

/** `given`: as the job has it. */
function createContext(given) {
  const { clientContext, deadlineMs, invocationId, memoryBytes } = given;
  return {
    ...given,
    awsRequestId: invocationId,
    memoryLimitInMB: String(Math.round((memoryBytes ?? 0) / bytesPerMebibyte)),
    clientContext: clientContext && JSON.parse(clientContext),
    identity: undefined,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadlineMs - Date.now()),
  };
}

/**
 * Calls it and resolves with its result: what it returns; or, when that is nothing, what it calls back with. Whether it
 * means to is seen by its third parameter, or by its having asked for one of the context's functions.
 */
function callHandler(handler, event, context) {
  let usesCallback = handler.length >= 3;
  let settle;
  const called = new Promise((resolve, reject) => {
    settle = (error, value) => (error === undefined || error === null ? resolve(value) : reject(error));
  });
  // Rejected or not, it may be that nobody waits for it.
  called.catch(() => {});
  let answer = [];
  const callback = (...args) => {
    answer = args;
    if (!context.callbackWaitsForEmptyEventLoop) settle(...answer);
  };
  const atOnce = {
    done: settle,
    succeed: (value) => settle(null, value),
    fail: (error) => settle(error ?? 'failed'),
  };
  for (const [name, settles] of Object.entries(atOnce)) {
    Object.defineProperty(context, name, {
      configurable: true,
      get() {
        usesCallback = true;
        return settles;
      },
    });
  }
  const value = handler(event, context, callback);
  if (value !== undefined || !usesCallback) return value;
  // When nothing is under way any more, so that nothing is lost that the handler has begun. Who has not called back by then
  // has no result.
  process.once('beforeExit', () => settle(...answer));
  return called;
}
