import { randomUUID } from 'node:crypto';
import { createClient } from '../../sdk/client.ts';
import type { DeployRequest } from '../../sdk/contract/function.ts';
import { heavyFunction, initialisationCpuMs } from './heavy-function.ts';
import { readInvoke } from './reply-facts.ts';
import type { LoadRuntime } from './snippets.ts';
import type { Workload } from './workload.ts';

/** Functions deployed for a load; `remove` takes them away again, which matters on a platform that is not ours. */
export interface DeployedFunctions {
  /** One that returns its event. */
  empty(runtime: LoadRuntime, name?: string): Promise<Workload>;
  /** One whose top level takes half a second of CPU time. */
  heavy(runtime: LoadRuntime): Promise<Workload>;
  remove(): Promise<void>;
}

const emptyFunction: Record<LoadRuntime, DeployRequest> = {
  node: {
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content: 'export const handler = async (event) => event;\n' }],
  },
  python: {
    runtime: 'python',
    handler: 'index.handler',
    files: [{ path: 'index.py', content: 'def handler(event, context):\n    return event\n' }],
  },
};

export function createFunctions(url: string): DeployedFunctions {
  const client = createClient(url);
  // Nobody's function on a shared platform is replaced.
  const run = randomUUID().slice(0, 8);
  const deployed: string[] = [];

  async function deploy(label: string, request: DeployRequest): Promise<string> {
    const name = `loadtest-${run}-${label}`;
    // The same code with the same settings would be the same image, and share what is warm of it.
    await client.deploy(name, { ...request, env: { LOADTEST_FUNCTION: name } });
    deployed.push(name);
    return `/v1/functions/${name}/invoke`;
  }

  return {
    async empty(runtime, name = `function ${runtime}`) {
      const path = await deploy(`empty-${runtime}-${deployed.length}`, emptyFunction[runtime]);
      return invoke(name, path, { n: 2 }, (result) => (result as { n?: unknown } | null)?.n === 2);
    },
    async heavy(runtime) {
      const path = await deploy(`heavy-${runtime}`, heavyFunction(runtime));
      const isRight = (result: unknown) =>
        Number((result as { initCpuMs?: unknown } | null)?.initCpuMs) >= initialisationCpuMs;
      return invoke(`function ${runtime}, ${initialisationCpuMs} ms of imports`, path, {}, isRight);
    },
    async remove() {
      for (const name of deployed.splice(0)) await client.deleteFunction(name);
    },
  };
}

function invoke(name: string, path: string, event: unknown, isRight: (result: unknown) => boolean): Workload {
  return {
    name,
    request: { path, headers: { 'content-type': 'application/json' }, body: JSON.stringify(event) },
    read: (reply) => readInvoke(reply, isRight),
  };
}
