import type { Examples } from './example.ts';
import { snippetRecord } from './run.ts';

export const eventExamples: Examples = {
  followInvocation: [
    {
      name: 'beginning',
      summary: 'A few lines of it',
      after: ['run/code'],
      parameters: { id: snippetRecord.id },
      status: 200,
      reply: `: oncebox
event: stdout
data: {"text":"2\\n"}
`,
    },
  ],
  getInvocationLogs: [
    {
      name: 'last-line',
      summary: 'The last line of its standard output',
      after: ['run/code'],
      parameters: { id: snippetRecord.id, stream: 'stdout', tail: '1' },
      status: 200,
      reply: '2\n',
    },
  ],
};
