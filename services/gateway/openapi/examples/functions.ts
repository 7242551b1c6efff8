import { failingDeploy } from './dead-letters.ts';
import type { Example, Examples } from './example.ts';
import { webDeploy } from './http-trigger.ts';
import { greetDeploys } from './versions.ts';

const hello = {
  name: 'hello',
  version: 1,
  digest: 'sha256:9c1185a5c5e9fc54612808977ee8f548b2258d31aa3b5c1e0b8f4d6b7e2a9c03',
  runtime: 'node',
  handler: 'index.handler',
  env: { GREETING: 'Hello' },
  limits: { wallMs: 5000 },
  image: {
    reference: 'localhost/node:latest',
    digest: 'sha256:2f7d0c8e4b1a96537f0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c4b5a69',
  },
  codeLayer: '5d2c1b8a9746350e1f2d3c4b5a692f7d0c8e4b1a96537f0e5d2c8b9a4163e7f0',
  createdAt: '2026-11-21T09:30:00.000Z',
  sizeBytes: 104,
};
const { name: _, ...helloVersion } = hello;

/** What `hello` is deployed of. */
const helloCode = {
  runtime: 'node',
  handler: 'index.handler',
  env: { GREETING: 'Hello' },
  limits: { wallMs: 5000 },
  files: [
    {
      path: 'index.mjs',
      content:
        'export const handler = (event) => ({ greeting: process.env.GREETING + ", " + event.name + "!" });\n',
    },
  ],
};

const deployFunction: Example[] = [
  {
    name: 'files',
    summary: 'Files as text, with a variable and a limit',
    parameters: { name: 'hello' },
    body: helloCode,
    status: 201,
    reply: hello,
  },
  {
    name: 'unchanged',
    summary: 'The same once more: the version is there already',
    after: ['deployFunction/files'],
    parameters: { name: 'hello' },
    body: helloCode,
    status: 200,
    reply: hello,
  },
  {
    name: 'archive',
    summary: 'The tar.gz of a directory',
    parameters: { name: 'hello-python', runtime: 'python', handler: 'index.handler' },
    mediaType: 'application/gzip',
    upload: 'hello.tar.gz',
    status: 201,
    reply: {
      name: 'hello-python',
      version: 1,
      digest: 'sha256:1f2d3c4b5a692f7d0c8e4b1a96537f0e5d2c8b9a4163e7f05d2c1b8a9746350e',
      runtime: 'python',
      handler: 'index.handler',
      env: {},
      limits: {},
      image: {
        reference: 'localhost/python:latest',
        digest: 'sha256:7f0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c4b5a692f7d0c8e4b1a9653',
      },
      codeLayer: '8e4b1a96537f0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c4b5a692f7d0c',
      createdAt: '2026-11-21T09:31:00.000Z',
      sizeBytes: 152,
    },
  },
  ...greetDeploys,
  webDeploy,
  failingDeploy,
];

export const functionExamples: Examples = {
  deployFunction,
  listFunctions: [
    {
      name: 'all',
      summary: 'All functions',
      after: ['deployFunction/files'],
      status: 200,
      reply: { functions: [hello] },
    },
  ],
  getFunction: [
    {
      name: 'versions',
      summary: 'A function of one version',
      after: ['deployFunction/files'],
      parameters: { name: 'hello' },
      status: 200,
      reply: { name: 'hello', current: 1, versions: [helloVersion], aliases: [] },
    },
    {
      name: 'unknown',
      summary: 'A function that there is not',
      parameters: { name: 'nobody' },
      status: 404,
      reply: { error: { code: 'function_not_found', message: 'there is no function "nobody"' } },
    },
  ],
  pushFunction: [
    {
      name: 'version',
      summary: 'The first version, to a registry without TLS',
      after: ['deployFunction/files'],
      parameters: { name: 'hello' },
      body: { target: 'registry.example.com/hello:1', version: 1, insecure: true },
      status: 200,
      reply: {
        reference: null,
        digest: hello.digest,
        created: '1970-01-01T00:00:00Z',
        sizeBytes: 222_035_968,
        sharedBytes: 222_027_776,
        uniqueBytes: 8192,
        layers: 3,
        sandboxes: 0,
      },
    },
  ],
  deleteFunction: [
    {
      name: 'all-versions',
      summary: 'A function with all its versions',
      after: ['deployFunction/archive'],
      parameters: { name: 'hello-python' },
      status: 204,
    },
  ],
};
