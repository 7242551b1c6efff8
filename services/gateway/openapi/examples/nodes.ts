import type { Examples } from './example.ts';

export const nodeExamples: Examples = {
  listSandboxes: [
    {
      name: 'parked',
      summary: 'One that is parked',
      status: 200,
      reply: {
        sandboxes: [
          {
            id: '7a60-6bk',
            state: 'created',
            runtime: 'python',
            image: {
              digest: 'sha256:2518b2dfead5cbc3ccce0d90e95483d573c23d315c64e86a8f45cfc018304949',
              reference: 'localhost/python:latest',
            },
            start: 'warm',
            writableBytes: 4096,
            virtualBytes: 95_244_288,
            memoryBytes: 1_241_088,
            memoryPeakBytes: 1_310_720,
            ageMs: 11_247.018,
            node: 'vm-3d804756',
          },
        ],
        silentNodes: [],
      },
    },
  ],
  listNodes: [
    {
      name: 'one',
      summary: 'A machine of two cores',
      status: 200,
      reply: {
        nodes: [
          {
            node: 'vm-3d804756',
            pid: 4217,
            concurrency: 32,
            startedAt: '2026-11-21T09:00:00.000Z',
            isolations: ['native'],
          },
        ],
      },
    },
  ],
  getHealth: [{ name: 'up', summary: 'It is up', status: 200, reply: { status: 'ok' } }],
  getReadiness: [
    { name: 'ready', summary: 'A worker is there', status: 200, reply: { status: 'ready', workers: 1 } },
  ],
  getMetrics: [
    {
      name: 'text',
      summary: 'A few lines of it',
      status: 200,
      reply: `# HELP oncebox_queue_waiting Invocations that no worker has taken yet.
# TYPE oncebox_queue_waiting gauge
oncebox_queue_waiting 0
# HELP oncebox_node_up 1 if the node on this gateway's machine answers; its figures are below then.
# TYPE oncebox_node_up gauge
oncebox_node_up 1
`,
    },
  ],
  getDocument: [{ name: 'document', summary: 'What you read', status: 200 }],
  getHome: [{ name: 'home', summary: 'The address alone', status: 302 }],
  getReference: [{ name: 'page', summary: 'For browsers', status: 200 }],
  getReferenceFile: [
    { name: 'style', summary: 'A part of the page', parameters: { file: 'swagger-ui.css' }, status: 200 },
  ],
};
