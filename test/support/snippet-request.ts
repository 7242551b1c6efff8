import { defaultLimits } from '../../sdk/contract/limits.ts';
import type { InvocationRequest } from '../../services/queue/invocation-queue.ts';

/** A snippet that does nothing, as a gateway enqueues it. */
export const snippetRequest: InvocationRequest = {
  tenant: 'default',
  runtime: 'node',
  program: {
    kind: 'snippet',
    files: [{ path: 'a.js', content: '', encoding: 'utf8' }],
    entry: 'a.js',
    args: [],
    env: {},
  },
  stdin: '',
  limits: defaultLimits(),
};
