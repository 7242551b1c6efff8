import { triggerId, triggerMethods } from '../operations/http-trigger.ts';
import type { Example, Examples } from './example.ts';

export const webDeploy: Example = {
  name: 'web',
  summary: 'One that answers HTTP',
  parameters: { name: 'web' },
  body: {
    runtime: 'node',
    handler: 'index.fetch',
    files: [
      {
        path: 'index.mjs',
        content:
          'export const fetch = async (request) => \n  new Response([request.method, new URL(request.url).pathname, await request.text()].join(" ").trim());\n',
      },
    ],
  },
  status: 201,
};

/** Each method, at the function's root and below. */
export const httpTriggerExamples: Examples = Object.fromEntries(
  triggerMethods.flatMap((method) => [
    [triggerId(method, false), [example(method)]],
    [triggerId(method, true), [example(method, 'greetings')]],
  ]),
);

function example(method: (typeof triggerMethods)[number], path?: string): Example {
  const hasBody = method !== 'get' && method !== 'delete';
  return {
    name: 'echo',
    summary: 'A function that says what it was asked',
    after: ['deployFunction/web'],
    parameters: { ref: 'web', ...(path !== undefined && { path }) },
    ...(hasBody && { mediaType: 'text/plain', body: 'Ada' }),
    status: 200,
    reply: `${method.toUpperCase()} /${path ?? ''}${hasBody ? ' Ada' : ''}`,
  };
}
