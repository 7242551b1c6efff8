import { failedRecords } from './dead-letters.ts';
import type { Examples } from './example.ts';
import { snippetRecord } from './run.ts';

export const invocationExamples: Examples = {
  cancelInvocation: [
    {
      name: 'running',
      summary: 'An invocation that runs: its worker has been told',
      after: ['run/without-waiting'],
      once: 'running',
      parameters: { id: 'inv_h7y5kqmzt4bd2w6ra3pndohjei' },
      status: 202,
      reply: {
        id: 'inv_h7y5kqmzt4bd2w6ra3pndohjei',
        status: 'running',
        attempt: 1,
        priority: 'normal',
        ...{ stdout: '', stderr: '', stdoutTruncated: false, stderrTruncated: false },
      },
    },
    {
      name: 'over',
      summary: 'An invocation that is over stays as it is',
      after: ['run/code'],
      parameters: { id: snippetRecord.id },
      status: 200,
      reply: snippetRecord,
    },
  ],
  getInvocation: [
    {
      name: 'finished',
      summary: 'The record of an invocation that has ended',
      after: ['run/code'],
      parameters: { id: snippetRecord.id },
      status: 200,
      reply: snippetRecord,
    },
    {
      name: 'unknown',
      summary: 'An invocation whose record has expired, or that never was',
      parameters: { id: 'inv_aaaaaaaaaaaaaaaaaaaaaaaaaa' },
      status: 404,
      reply: { error: { code: 'invocation_not_found', message: 'there is no record of this invocation' } },
    },
    ...failedRecords,
  ],
  getInvocationFiles: [
    {
      name: 'kept',
      summary: 'A tar',
      after: ['run/archive'],
      parameters: { id: 'inv_m4bd2w6ra3pndohjeic7y5kqmz' },
      status: 200,
    },
    {
      name: 'none',
      summary: 'An invocation that was not asked to keep its files',
      after: ['run/code'],
      parameters: { id: snippetRecord.id },
      status: 404,
      reply: {
        error: {
          code: 'invocation_not_found',
          message:
            'there are no files of this invocation: they are kept with "diff": "archive", as long as the record',
        },
      },
    },
  ],
};
