import type { Examples } from './example.ts';

const given = { concurrency: 10, retry: { attempts: 3, on: ['function_error', 'lost'] } };
const held = { ...given, retry: { ...given.retry, backoffMs: 1000, backoffMaxMs: 60_000 } };

export const settingsExamples: Examples = {
  putFunctionSettings: [
    {
      name: 'retry',
      summary: 'Ten at once, each run up to three times',
      after: ['deployFunction/third-version'],
      parameters: { name: 'greet' },
      body: given,
      status: 200,
      reply: held,
    },
  ],
  getFunctionSettings: [
    {
      name: 'all',
      summary: 'With the pauses between the runs',
      after: ['putFunctionSettings/retry'],
      parameters: { name: 'greet' },
      status: 200,
      reply: held,
    },
  ],
};
