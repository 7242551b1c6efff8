import type { Examples } from './example.ts';

const token = {
  name: 'TOKEN',
  sizeBytes: 6,
  version: 1,
  createdAt: '2026-11-21T09:20:00.000Z',
  updatedAt: '2026-11-21T09:20:00.000Z',
};

export const secretExamples: Examples = {
  putSecret: [
    {
      name: 'value',
      summary: 'A text',
      parameters: { name: 'TOKEN' },
      body: { value: 's3cr3t' },
      status: 201,
      reply: token,
    },
    {
      name: 'again',
      summary: 'Bytes in its place',
      after: ['putSecret/value', 'listSecrets/all'],
      parameters: { name: 'TOKEN' },
      body: { base64: 'czNjcjN0AA==' },
      status: 200,
      reply: { ...token, version: 2, updatedAt: '2026-11-21T09:25:00.000Z' },
    },
  ],
  listSecrets: [
    {
      name: 'all',
      summary: 'All secrets, without what they are',
      after: ['putSecret/value'],
      status: 200,
      reply: { secrets: [token] },
    },
  ],
  deleteSecret: [
    {
      name: 'one',
      summary: 'A secret',
      after: ['putSecret/again'],
      parameters: { name: 'TOKEN' },
      status: 204,
    },
  ],
};
