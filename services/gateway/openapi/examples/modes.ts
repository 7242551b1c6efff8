import type { Examples } from './example.ts';

const daily = {
  id: 'daily',
  function: 'hello',
  cron: '0 7 * * 1-5',
  timeZone: 'Europe/Berlin',
  event: { name: 'Ada' },
  enabled: true,
  priority: 'normal',
  createdAt: '2026-11-21T09:45:00.000Z',
  updatedAt: '2026-11-21T09:45:00.000Z',
  nextRunAt: '2026-11-23T06:00:00.000Z',
  runs: 0,
};
const secret = {
  secret: 'whsec_4b5a692f7d0c8e4b1a96537f0e5d2c8b9a4163e7f05d2c1b8a9746350e1f2d3c',
  createdAt: '2026-11-21T09:00:00.000Z',
};

/** Other ways to call a function than to wait for it. */
export const modeExamples: Examples = {
  invokeBatch: [
    {
      name: 'two',
      summary: 'Two events',
      after: ['deployFunction/files'],
      parameters: { ref: 'hello' },
      body: { events: [{ name: 'Ada' }, { name: 'Grace' }] },
      status: 202,
      reply: {
        invocations: [
          { id: 'inv_n3pndohjeic7y5kqmzt4bd2w6r', status: 'queued' },
          { id: 'inv_o3pndohjeic7y5kqmzt4bd2w6r', status: 'queued' },
        ],
      },
    },
  ],
  putSchedule: [
    {
      name: 'cron',
      summary: 'On workdays at seven in Berlin',
      after: ['deployFunction/files'],
      parameters: { id: 'daily' },
      body: {
        function: 'hello',
        cron: '0 7 * * 1-5',
        timeZone: 'Europe/Berlin',
        event: { name: 'Ada' },
      },
      status: 201,
      reply: daily,
    },
  ],
  listSchedules: [
    {
      name: 'all',
      summary: 'All schedules',
      after: ['putSchedule/cron'],
      status: 200,
      reply: { schedules: [daily] },
    },
  ],
  getSchedule: [
    {
      name: 'one',
      summary: 'One that has not been due yet',
      after: ['putSchedule/cron'],
      parameters: { id: 'daily' },
      status: 200,
      reply: daily,
    },
  ],
  deleteSchedule: [
    {
      name: 'one',
      summary: 'A schedule',
      after: ['listSchedules/all', 'getSchedule/one'],
      parameters: { id: 'daily' },
      status: 204,
    },
  ],
  getCallbackSecret: [
    { name: 'secret', summary: 'What receivers check signatures with', status: 200, reply: secret },
  ],
  rotateCallbackSecret: [
    {
      name: 'new',
      summary: 'A new one, with the old one beside it for a day',
      after: ['getCallbackSecret/secret'],
      status: 200,
      reply: { ...secret, previousUntil: '2026-11-22T09:00:00.000Z' },
    },
  ],
};
