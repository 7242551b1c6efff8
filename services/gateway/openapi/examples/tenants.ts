import type { Examples } from './example.ts';

const ci = {
  id: 'k7mq2x5vbnw4',
  name: 'ci',
  tenant: 'acme',
  scopes: ['deploy', 'read'],
  createdAt: '2026-11-21T09:50:00.000Z',
};
const acme = { name: 'acme', quotas: { requestsPerMinute: 600, concurrency: 20 } };

export const tenantExamples: Examples = {
  createKey: [
    {
      name: 'scoped',
      summary: 'A key that deploys and looks',
      body: { name: 'ci', tenant: 'acme', scopes: ['deploy', 'read'] },
      status: 201,
      reply: { ...ci, key: 'ocb_k7mq2x5vbnw4_…' },
    },
  ],
  listKeys: [
    {
      name: 'all',
      summary: 'All keys, without what opens',
      after: ['createKey/scoped'],
      status: 200,
      reply: { keys: [ci] },
    },
  ],
  deleteKey: [
    {
      name: 'one',
      summary: 'A key',
      after: ['listKeys/all'],
      parameters: { id: 'k7mq2x5vbnw4' },
      status: 204,
    },
  ],
  putTenant: [
    {
      name: 'quotas',
      summary: 'Ten requests a second, twenty invocations at once',
      parameters: { name: 'acme' },
      body: { quotas: { requestsPerMinute: 600, concurrency: 20 } },
      status: 200,
      reply: acme,
    },
  ],
  listTenants: [
    {
      name: 'all',
      summary: 'All tenants',
      after: ['putTenant/quotas'],
      status: 200,
      reply: { tenants: [acme] },
    },
  ],
  getTenant: [
    {
      name: 'usage',
      summary: 'A tenant that has done nothing yet',
      after: ['putTenant/quotas'],
      parameters: { name: 'acme' },
      status: 200,
      reply: {
        ...acme,
        usage: { requestsThisMinute: 0, concurrency: 0, cpuSecondsToday: 0, storageBytes: 0 },
      },
    },
  ],
};
