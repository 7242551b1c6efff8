import type { Examples } from './example.ts';

const greet = (greeting: string) => ({
  runtime: 'node',
  handler: 'index.handler',
  files: [{ path: 'index.mjs', content: `export const handler = () => '${greeting}';\n` }],
});
const prod = {
  name: 'prod',
  version: 1,
  weights: { 2: 0.1 },
  updatedAt: '2026-11-21T09:40:00.000Z',
};
export const greetDeploys = [
  {
    name: 'first-version',
    summary: 'A version to go back to',
    parameters: { name: 'greet' },
    body: greet('Hello'),
    status: 201,
  },
  {
    name: 'second-version',
    summary: 'The next version',
    after: ['deployFunction/first-version'],
    parameters: { name: 'greet' },
    body: greet('Good morning'),
    status: 201,
  },
  {
    name: 'third-version',
    summary: 'And one more',
    after: ['deployFunction/second-version'],
    parameters: { name: 'greet' },
    body: greet('Good night'),
    status: 201,
  },
];

export const versionExamples: Examples = {
  putAlias: [
    {
      name: 'canary',
      summary: 'One call in ten is for version 2',
      after: ['deployFunction/third-version'],
      parameters: { name: 'greet', alias: 'prod' },
      body: { version: 1, weights: { 2: 0.1 } },
      status: 200,
      reply: prod,
    },
  ],
  listAliases: [
    {
      name: 'all',
      summary: 'The aliases of a function',
      after: ['putAlias/canary'],
      parameters: { name: 'greet' },
      status: 200,
      reply: { aliases: [prod] },
    },
  ],
  rollbackFunction: [
    {
      name: 'before',
      summary: 'To the version before',
      after: ['deployFunction/third-version'],
      parameters: { name: 'greet' },
      body: {},
      status: 200,
      reply: {
        name: 'greet',
        version: 2,
        digest: 'sha256:6b7e2a9c039c1185a5c5e9fc54612808977ee8f548b2258d31aa3b5c1e0b8f4d',
        runtime: 'node',
        handler: 'index.handler',
        env: {},
        limits: {},
        image: {
          reference: 'localhost/node:latest',
          digest: 'sha256:2f7d0c8e4b1a96537f0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c4b5a69',
        },
        codeLayer: '2c1b8a9746350e1f2d3c4b5a692f7d0c8e4b1a96537f0e5d2c8b9a4163e7f05d',
        createdAt: '2026-11-21T09:35:00.000Z',
        sizeBytes: 44,
      },
    },
  ],
  deleteVersion: [
    {
      name: 'unused',
      summary: 'A version that nothing points at',
      after: ['rollbackFunction/before'],
      parameters: { name: 'greet', version: '3' },
      status: 204,
    },
    {
      name: 'in-use',
      summary: 'A version that an alias points at',
      after: ['putAlias/canary', 'rollbackFunction/before'],
      parameters: { name: 'greet', version: '1' },
      status: 409,
    },
  ],
  deleteAlias: [
    {
      name: 'one',
      summary: 'An alias',
      after: ['listAliases/all', 'deleteVersion/in-use'],
      parameters: { name: 'greet', alias: 'prod' },
      status: 204,
    },
  ],
};
