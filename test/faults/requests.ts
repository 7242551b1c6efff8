import type { Random } from '../../loadtest/generators/random.ts';
import type { DeployRequest } from '../../sdk/contract/function.ts';
import type { RunRequest } from '../../sdk/contract/run-request.ts';
import { patient } from '../support/limits.ts';

/** One request of the load. Its marker is in what is enqueued, and nowhere else. */
export interface MarkedRequest {
  marker: string;
  kind: string;
  path: string;
  body: unknown;
  /** How it ends when no fault hits it. */
  expected: string;
}

const snippets: { kind: string; expected: string; request: RunRequest }[] = [
  { kind: 'node', expected: 'ok', request: { runtime: 'node', code: 'console.log(1+1)' } },
  { kind: 'python', expected: 'ok', request: { runtime: 'python', code: 'print(1+1)' } },
  { kind: 'bash', expected: 'ok', request: { runtime: 'bash', code: 'echo 2' } },
  {
    kind: 'node, 1 s',
    expected: 'ok',
    request: { runtime: 'node', code: 'setTimeout(() => console.log(2), 1000)' },
  },
  { kind: 'bash, 2 s', expected: 'ok', request: { runtime: 'bash', code: 'sleep 2; echo 2' } },
  { kind: 'node that fails', expected: 'exited', request: { runtime: 'node', code: 'process.exit(3)' } },
  {
    kind: 'python past its time',
    expected: 'timeout',
    request: { runtime: 'python', code: 'while True: pass', limits: { wallMs: 300 } },
  },
  {
    kind: 'node that writes much',
    expected: 'ok',
    request: { runtime: 'node', code: 'console.log("x".repeat(20000))' },
  },
];

const echo: DeployRequest = {
  limits: patient,
  runtime: 'node',
  handler: 'index.handler',
  files: [{ path: 'index.mjs', content: 'export const handler = async (event) => event;\n' }],
};

const failing: DeployRequest = {
  limits: patient,
  runtime: 'python',
  handler: 'index.handler',
  files: [{ path: 'index.py', content: 'def handler(event, context):\n    raise ValueError("no")\n' }],
};

/** Initialisation that costs gets a zygote of its own. */
const slowToStart: DeployRequest = {
  runtime: 'node',
  handler: 'index.handler',
  limits: patient,
  files: [
    {
      path: 'index.mjs',
      content: `const cpuUsec = () => process.cpuUsage().user + process.cpuUsage().system;
const until = cpuUsec() + 150_000;
while (cpuUsec() < until);
export const handler = async (event) => event;
`,
    },
  ],
};

/** Functions of the load, by name. */
export const functions: Record<string, { request: DeployRequest; expected: string }> = {
  echo: { request: echo, expected: 'ok' },
  'echo-without-zygote': { request: { ...echo, zygote: false }, expected: 'ok' },
  failing: { request: failing, expected: 'function_error' },
  'slow-to-start': { request: slowToStart, expected: 'ok' },
};

const functionShare = 0.35;

export function nextRequest(number: number, random: Random): MarkedRequest {
  const marker = `marker-${number}-${Math.floor(random() * 1e9)}`;
  if (random() < functionShare) {
    const names = Object.keys(functions);
    const name = names[Math.floor(random() * names.length)] as string;
    return {
      marker,
      kind: `function ${name}`,
      path: `/v1/functions/${name}/invoke`,
      body: { marker },
      expected: functions[name]?.expected ?? '',
    };
  }
  const { kind, expected, request } = snippets[
    Math.floor(random() * snippets.length)
  ] as (typeof snippets)[0];
  return {
    marker,
    kind,
    path: '/v1/run',
    body: { ...request, limits: request.limits ?? patient, stdin: marker },
    expected,
  };
}
