import { failingCalls } from './dead-letters.ts';
import type { Example, Examples } from './example.ts';

const base = {
  isolation: 'native',
  image: { digest: 'sha256:2f7d0c8e4b1a96537f0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c4b5a69' },
  timings: {
    ...{ receiveMs: 0.412, queueMs: 1.037, admitMs: 0.058, prepareMs: 0.021, leaseMs: 0.044 },
    ...{ startMs: 0.613, runMs: 9.377 },
  },
  usage: {
    ...{ cpuMs: 8.201, cpuUserMs: 6.15, cpuSystemMs: 2.051, throttledMs: 0, wallMs: 9.377 },
    ...{ memoryPeakBytes: 1_245_184, writtenBytes: 4096 },
  },
  stderr: '',
  stdoutTruncated: false,
  stderrTruncated: false,
};
export const snippetRecord = {
  id: 'inv_c7y2kq5mzt4bxw6ra3pndohjei',
  status: 'done',
  outcome: { status: 'ok' },
  start: 'warm',
  attempt: 1,
  priority: 'normal',
  ...base,
  stdout: '2\n',
};
export const greeterId = 'inv_p2w6ra3pndohjeic7y5kqmzt4b';
export const waiterId = 'inv_q2w6ra3pndohjeic7y5kqmzt4b';
const queued = { priority: 'normal', stdout: '', stderr: '', stdoutTruncated: false, stderrTruncated: false };

const run: Example[] = [
  {
    name: 'code',
    summary: 'A line of JavaScript',
    body: { runtime: 'node', code: 'console.log(1 + 1)' },
    status: 200,
    reply: snippetRecord,
  },
  {
    name: 'files',
    summary: 'A program of two files, with input and a limit',
    body: {
      runtime: 'python',
      files: [
        { path: 'main.py', content: 'import sys\nfrom words import count\nprint(count(sys.stdin.read()))\n' },
        { path: 'words.py', content: 'def count(text):\n    return len(text.split())\n' },
      ],
      entry: 'main.py',
      stdin: 'the quick brown fox',
      limits: { wallMs: 5000 },
    },
    status: 200,
    reply: { ...snippetRecord, id: 'inv_d2w6ra3pndohjeic7y5kqmzt4b', stdout: '4\n' },
  },
  {
    name: 'language',
    summary: 'A program of a language, named by an alias',
    body: { language: 'py', version: '3.x', code: 'print(input())', stdin: 'hello' },
    status: 200,
    reply: {
      ...snippetRecord,
      id: 'inv_e7y5kqmzt4bd2w6ra3pndohjei',
      language: { name: 'python', version: '3.11.2' },
      stdout: 'hello\n',
    },
  },
  {
    name: 'unknown-language',
    summary: 'A language that nobody knows',
    body: { language: 'klingon', code: 'nuqneH' },
    status: 404,
    reply: {
      error: {
        code: 'language_not_found',
        message: 'there is no language "klingon": GET /v1/languages lists them',
        field: 'language',
      },
    },
  },
  {
    name: 'image',
    summary: 'A command of an image',
    body: { image: 'python', entrypoint: ['echo', 'hello'] },
    status: 200,
    reply: {
      ...snippetRecord,
      id: 'inv_f3pndohjeic7y5kqmzt4bd2w6r',
      start: 'fork',
      image: { ...base.image, reference: 'localhost/python:latest' },
      stdout: 'hello\n',
    },
  },
  {
    name: 'failing',
    summary: 'A program that fails: the reply is a record all the same',
    body: { runtime: 'bash', code: 'echo oops >&2; exit 3' },
    status: 200,
    reply: {
      ...snippetRecord,
      id: 'inv_g5kqmzt4bd2w6ra3pndohjeic7',
      outcome: { status: 'exited', exitCode: 3 },
      stdout: '',
      stderr: 'oops\n',
    },
  },
  {
    name: 'archive',
    summary: 'A program whose files are kept',
    body: { runtime: 'bash', code: 'echo hello > note.txt', diff: 'archive' },
    status: 200,
    reply: {
      ...snippetRecord,
      id: 'inv_m4bd2w6ra3pndohjeic7y5kqmz',
      stdout: '',
      changes: [
        {
          kind: 'added',
          path: '/work/main.sh',
          type: 'file',
          sizeBytes: 21,
          sha256: 'd03cbcb7a1d089b9015b277d45c33da55a6c165caf68f2fd5d539f081497a891',
        },
        {
          kind: 'added',
          path: '/work/note.txt',
          type: 'file',
          sizeBytes: 6,
          sha256: '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03',
        },
      ],
      files: { sizeBytes: 5120 },
    },
  },
  {
    name: 'interactive',
    summary: 'A program that can be talked to, with its events as the reply: `writeStdin` says what it reads',
    interactiveId: greeterId,
    body: { runtime: 'bash', code: 'read -r name; echo "hello $name"', interactive: true },
    status: 200,
    reply: `: oncebox
event: stdout
data: {"text":"hello Ada\\n"}
`,
  },
  {
    name: 'interactive-until-told',
    summary: 'A program that runs until a signal ends it, which `sendSignal` sends',
    interactiveId: waiterId,
    heard: 'ready',
    body: {
      runtime: 'bash',
      code: 'trap "echo bye; exit" INT; echo ready; while true; do sleep 0.1; done',
      interactive: true,
    },
    status: 200,
    reply: `: oncebox
event: stdout
data: {"text":"ready\\n"}

event: stdout
data: {"text":"bye\\n"}
`,
  },
  {
    name: 'without-waiting',
    summary: 'Without waiting for its end',
    parameters: { prefer: 'respond-async' },
    body: { runtime: 'bash', code: 'sleep 9' },
    status: 202,
    reply: { id: 'inv_h7y5kqmzt4bd2w6ra3pndohjei', status: 'queued', ...queued },
  },
];

const invokeFunction: Example[] = [
  {
    name: 'event',
    summary: 'The handler is called with the body',
    after: ['deployFunction/files'],
    parameters: { ref: 'hello' },
    body: { name: 'Ada' },
    status: 200,
    reply: { greeting: 'Hello, Ada!' },
  },
  {
    name: 'failing',
    summary: 'A handler that throws',
    after: ['deployFunction/files'],
    parameters: { ref: 'hello' },
    body: null,
    status: 500,
    reply: {
      error: {
        code: 'function_error',
        message: "TypeError: Cannot read properties of null (reading 'name')",
        invocationId: 'inv_j2w6ra3pndohjeic7y5kqmzt4b',
        outcome: {
          status: 'function_error',
          name: 'TypeError',
          message: "Cannot read properties of null (reading 'name')",
          stack: "TypeError: Cannot read properties of null (reading 'name')\n    at handler (…)",
        },
      },
    },
  },
  {
    name: 'without-waiting',
    summary: 'Without waiting for its end',
    after: ['deployFunction/files'],
    parameters: { ref: 'hello', prefer: 'respond-async' },
    body: { name: 'Ada' },
    status: 202,
    reply: {
      id: 'inv_k3pndohjeic7y5kqmzt4bd2w6r',
      status: 'queued',
      function: {
        name: 'hello',
        version: 1,
        digest: 'sha256:9c1185a5c5e9fc54612808977ee8f548b2258d31aa3b5c1e0b8f4d6b7e2a9c03',
      },
      image: { digest: 'sha256:9c1185a5c5e9fc54612808977ee8f548b2258d31aa3b5c1e0b8f4d6b7e2a9c03' },
      ...queued,
    },
  },
  ...failingCalls,
];

export const runExamples: Examples = { run, invokeFunction };
