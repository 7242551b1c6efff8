import type { Examples } from './example.ts';
import { greeterId, snippetRecord, waiterId } from './run.ts';

export const inputExamples: Examples = {
  writeStdin: [
    {
      name: 'line',
      summary: 'The first piece: a line',
      after: ['run/interactive'],
      parameters: { id: greeterId, number: '1' },
      body: 'Ada\n',
      mediaType: 'application/octet-stream',
      status: 204,
    },
    {
      name: 'over',
      summary: 'An invocation that is over, or was started without `interactive`',
      after: ['run/code'],
      parameters: { id: snippetRecord.id, number: '1' },
      body: 'Ada\n',
      mediaType: 'application/octet-stream',
      status: 409,
      reply: {
        error: {
          code: 'input_refused',
          message: 'it takes no input: it is over, or was not started with "interactive": true',
        },
      },
    },
  ],
  sendSignal: [
    {
      name: 'interrupt',
      summary: 'What Ctrl-C sends',
      after: ['run/interactive-until-told'],
      parameters: { id: waiterId },
      body: { signal: 'SIGINT' },
      status: 204,
    },
  ],
};
