import type { Example, Examples } from './example.ts';

const called = {
  function: {
    name: 'failing',
    version: 1,
    digest: 'sha256:0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c4b5a692f7d0c8e4b1a96537f',
  },
  image: { digest: 'sha256:0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c4b5a692f7d0c8e4b1a96537f' },
  priority: 'normal',
  stdoutTruncated: false,
  stderrTruncated: false,
};
const queued = { status: 'queued', ...called, stdout: '', stderr: '' };
const died = 'inv_q3pndohjeic7y5kqmzt4bd2w6r';
const forgotten = 'inv_r3pndohjeic7y5kqmzt4bd2w6r';
const record = {
  id: died,
  status: 'done',
  outcome: {
    status: 'function_error',
    name: 'Error',
    message: 'the address is not known',
    stack: 'Error: the address is not known\n    at handler (…)',
  },
  start: 'warm',
  isolation: 'native',
  ...called,
  attempt: 1,
  init: { ms: 4.2, shared: false },
  timings: {
    ...{ receiveMs: 0.412, queueMs: 1.037, admitMs: 0.058, prepareMs: 0.021, leaseMs: 0.044 },
    ...{ startMs: 0.613, runMs: 9.377 },
  },
  usage: {
    ...{ cpuMs: 8.201, cpuUserMs: 6.15, cpuSystemMs: 2.051, throttledMs: 0, wallMs: 9.377 },
    ...{ memoryPeakBytes: 1_245_184, writtenBytes: 4096 },
  },
};
const letter = {
  id: died,
  function: 'failing',
  invocation: record,
  diedAt: '2026-11-21T09:55:00.000Z',
  attempts: 1,
};

export const failingDeploy: Example = {
  name: 'failing',
  summary: 'One that fails',
  parameters: { name: 'failing' },
  body: {
    runtime: 'node',
    handler: 'index.handler',
    files: [
      {
        path: 'index.mjs',
        content:
          "export const handler = async () => {\n  await new Promise((done) => setTimeout(done, 500));\n  throw new Error('the address is not known');\n};\n",
      },
    ],
  },
  status: 201,
};
/** Calls that become dead letters, and the end of each. */
export const failingCalls: Example[] = [
  ['one-that-dies', died] as const,
  ['another-that-dies', forgotten] as const,
].map(([name, id]) => ({
  name,
  summary: 'A call that will fail',
  after: ['deployFunction/failing'],
  parameters: { ref: 'failing', prefer: 'respond-async' },
  body: {},
  status: 202,
  reply: { id, ...queued },
}));
export const failedRecords: Example[] = [
  ['dead', 'invokeFunction/one-that-dies', died] as const,
  ['dead-too', 'invokeFunction/another-that-dies', forgotten] as const,
].map(([name, after, id]) => ({
  name,
  summary: 'The record of a call that failed',
  after: [after],
  once: 'done',
  parameters: { id },
  status: 200,
}));

export const deadLetterExamples: Examples = {
  listInvocations: [
    {
      name: 'of-a-function',
      summary: 'The last ones of a function',
      after: ['getInvocation/dead', 'getInvocation/dead-too'],
      parameters: { function: 'failing', status: 'done', limit: '10' },
      status: 200,
      reply: { invocations: [record] },
    },
  ],
  listDeadLetters: [
    {
      name: 'of-a-function',
      summary: 'What died of a function',
      after: ['getInvocation/dead', 'getInvocation/dead-too'],
      parameters: { function: 'failing', limit: '10' },
      status: 200,
      reply: { deadLetters: [letter] },
    },
  ],
  getDeadLetter: [
    {
      name: 'one',
      summary: 'A dead letter',
      after: ['getInvocation/dead'],
      parameters: { id: died },
      status: 200,
      reply: letter,
    },
  ],
  redriveDeadLetter: [
    {
      name: 'one',
      summary: 'Once more, as when the function has been mended',
      after: ['listDeadLetters/of-a-function', 'getDeadLetter/one'],
      parameters: { id: died },
      status: 202,
      reply: { id: 'inv_s3pndohjeic7y5kqmzt4bd2w6r', redriveOf: died, ...queued },
    },
  ],
  deleteDeadLetter: [
    {
      name: 'one',
      summary: 'A dead letter that nobody needs',
      after: ['listDeadLetters/of-a-function'],
      parameters: { id: forgotten },
      status: 204,
    },
  ],
};
