import type { z } from 'zod';
import { type ErrorBody, type ErrorCode, errorBodySchema } from './contract/error.ts';
import {
  type DeployedFunction,
  type DeployRequest,
  deployedFunctionSchema,
  type FunctionRecord,
  functionListSchema,
  functionRecordSchema,
} from './contract/function.ts';
import { type Invocation, invocationSchema } from './contract/invocation.ts';
import { type NodeInfo, nodeListSchema, type SandboxList, sandboxListSchema } from './contract/node.ts';
import type { RunRequest } from './contract/run-request.ts';

/** A reply of 400 or above. */
export class OnceboxError extends Error {
  override readonly name = 'OnceboxError';
  readonly status: number;
  /** Undefined when the reply is not oncebox's, but a proxy's between. */
  readonly code: ErrorCode | undefined;
  readonly field: string | undefined;
  readonly invocationId: string | undefined;

  constructor(status: number, error: Partial<ErrorBody['error']>) {
    super(error.message ?? `HTTP ${status}`);
    this.status = status;
    this.code = error.code;
    this.field = error.field;
    this.invocationId = error.invocationId;
  }
}

export interface InvokeResult {
  /** What the handler returned. */
  result: unknown;
  invocationId: string;
  start: string | null;
}

export interface CallOptions {
  /** Aborting a call that waits cancels its invocation. */
  signal?: AbortSignal;
}

export interface Client {
  run(request: RunRequest, options?: CallOptions): Promise<Invocation>;
  /** Does not wait: returns the queued record. */
  runAsync(request: RunRequest, options?: CallOptions): Promise<Invocation>;
  deploy(name: string, request: DeployRequest, options?: CallOptions): Promise<DeployedFunction>;
  functions(options?: CallOptions): Promise<DeployedFunction[]>;
  getFunction(name: string, options?: CallOptions): Promise<FunctionRecord>;
  deleteFunction(name: string, options?: CallOptions): Promise<void>;
  /** Rejects with an OnceboxError whose code is the outcome's status when the handler did not end `ok`. */
  invoke(name: string, event?: unknown, options?: CallOptions): Promise<InvokeResult>;
  invokeAsync(name: string, event?: unknown, options?: CallOptions): Promise<Invocation>;
  invocation(id: string, options?: CallOptions): Promise<Invocation>;
  cancel(id: string, options?: CallOptions): Promise<Invocation>;
  sandboxes(options?: CallOptions): Promise<SandboxList>;
  nodes(options?: CallOptions): Promise<NodeInfo[]>;
}

/** A client of the gateway at `baseUrl`, such as `http://127.0.0.1:8080`. A refused call rejects with an OnceboxError. */
export function createClient(baseUrl: string): Client {
  const base = baseUrl.replace(/\/+$/, '');
  const respondAsync = { prefer: 'respond-async' };
  const functionPath = (name: string) => `/v1/functions/${encodeURIComponent(name)}`;
  const invocationPath = (id: string) => `/v1/invocations/${encodeURIComponent(id)}`;

  async function send(
    method: string,
    path: string,
    { signal }: CallOptions,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const response = await fetch(base + path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    });
    if (response.ok) return response;
    const parsed = errorBodySchema.safeParse(await response.json().catch(() => undefined));
    throw new OnceboxError(response.status, parsed.success ? parsed.data.error : {});
  }

  async function call<S extends z.ZodType>(
    schema: S,
    ...request: Parameters<typeof send>
  ): Promise<z.output<S>> {
    return schema.parse(await (await send(...request)).json());
  }

  return {
    run: (request, options = {}) => call(invocationSchema, 'POST', '/v1/run', options, request),
    runAsync: (request, options = {}) =>
      call(invocationSchema, 'POST', '/v1/run', options, request, respondAsync),
    deploy: (name, request, options = {}) =>
      call(deployedFunctionSchema, 'PUT', functionPath(name), options, request),
    functions: async (options = {}) =>
      (await call(functionListSchema, 'GET', '/v1/functions', options)).functions,
    getFunction: (name, options = {}) => call(functionRecordSchema, 'GET', functionPath(name), options),
    deleteFunction: async (name, options = {}) => void (await send('DELETE', functionPath(name), options)),
    async invoke(name, event, options = {}) {
      const response = await send('POST', `${functionPath(name)}/invoke`, options, event);
      return {
        result: await response.json(),
        invocationId: response.headers.get('oncebox-invocation-id') ?? '',
        start: response.headers.get('oncebox-start'),
      };
    },
    invokeAsync: (name, event, options = {}) =>
      call(invocationSchema, 'POST', `${functionPath(name)}/invoke`, options, event, respondAsync),
    invocation: (id, options = {}) => call(invocationSchema, 'GET', invocationPath(id), options),
    cancel: (id, options = {}) => call(invocationSchema, 'DELETE', invocationPath(id), options),
    sandboxes: (options = {}) => call(sandboxListSchema, 'GET', '/v1/sandboxes', options),
    nodes: async (options = {}) => (await call(nodeListSchema, 'GET', '/v1/nodes', options)).nodes,
  };
}
