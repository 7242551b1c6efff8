import { type BatchClient, createBatchClient } from './batch-client.ts';
import { type CallbackClient, createCallbackClient } from './callback-client.ts';
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
import { createFunctionClient, type FunctionClient } from './function-client.ts';
import { createImageClient, type ImageClient } from './image-client.ts';
import { createKeyClient, type KeyClient } from './key-client.ts';
import { createQueueClient, type QueueClient } from './queue-client.ts';
import { createScheduleClient, type ScheduleClient } from './schedule-client.ts';
import { type CallOptions, type ClientOptions, call, createSend } from './send.ts';
import { createStreamClient, type StreamClient } from './stream-client.ts';

export type { BuildOptions, TaskOptions } from './image-client.ts';
export { OnceboxError } from './oncebox-error.ts';
export type { CallOptions, ClientOptions, Upload } from './send.ts';
export type { FollowedEvent, FollowOptions, LogOptions } from './stream-client.ts';

export interface InvokeResult {
  /** What the handler returned. */
  result: unknown;
  invocationId: string;
  start: string | null;
}

export interface InvokeOptions extends CallOptions {
  /** Whether the invocation's record lists what the function wrote; `archive` keeps the files too. */
  diff?: boolean | 'archive';
}

export interface Client
  extends ImageClient,
    FunctionClient,
    KeyClient,
    BatchClient,
    ScheduleClient,
    CallbackClient,
    StreamClient,
    QueueClient {
  run(request: RunRequest, options?: CallOptions): Promise<Invocation>;
  /** Does not wait: returns the queued record. */
  runAsync(request: RunRequest, options?: CallOptions): Promise<Invocation>;
  deploy(name: string, request: DeployRequest, options?: CallOptions): Promise<DeployedFunction>;
  functions(options?: CallOptions): Promise<DeployedFunction[]>;
  getFunction(name: string, options?: CallOptions): Promise<FunctionRecord>;
  deleteFunction(name: string, options?: CallOptions): Promise<void>;
  /** Rejects with an OnceboxError whose code is the outcome's status when the handler did not end `ok`. */
  invoke(name: string, event?: unknown, options?: InvokeOptions): Promise<InvokeResult>;
  invokeAsync(name: string, event?: unknown, options?: InvokeOptions): Promise<Invocation>;
  invocation(id: string, options?: CallOptions): Promise<Invocation>;
  cancel(id: string, options?: CallOptions): Promise<Invocation>;
  /** The files that an invocation with `diff: "archive"` left, as a tar. */
  invocationFiles(id: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>>;
  sandboxes(options?: CallOptions): Promise<SandboxList>;
  nodes(options?: CallOptions): Promise<NodeInfo[]>;
}

/** A client of the gateway at `baseUrl`, such as `http://127.0.0.1:8080`. A refused call rejects with an OnceboxError. */
export function createClient(baseUrl: string, options?: ClientOptions): Client {
  const send = createSend(baseUrl, options);
  const headers = { prefer: 'respond-async' };
  const functionPath = (name: string) => `/v1/functions/${encodeURIComponent(name)}`;
  const invokePath = (name: string, diff: InvokeOptions['diff'] = false) =>
    `${functionPath(name)}/invoke${diff === false ? '' : `?diff=${diff}`}`;
  const invocationPath = (id: string) => `/v1/invocations/${encodeURIComponent(id)}`;

  return {
    ...createImageClient(send),
    ...createFunctionClient(send),
    ...createKeyClient(send),
    ...createBatchClient(send),
    ...createScheduleClient(send),
    ...createCallbackClient(send),
    ...createStreamClient(send),
    ...createQueueClient(send),
    run: (json, options) => call(send, invocationSchema, 'POST', '/v1/run', { ...options, json }),
    runAsync: (json, options) =>
      call(send, invocationSchema, 'POST', '/v1/run', { ...options, json, headers }),
    deploy: (name, json, options) =>
      call(send, deployedFunctionSchema, 'PUT', functionPath(name), { ...options, json }),
    functions: async (options) =>
      (await call(send, functionListSchema, 'GET', '/v1/functions', options)).functions,
    getFunction: (name, options) => call(send, functionRecordSchema, 'GET', functionPath(name), options),
    deleteFunction: async (name, options) => void (await send('DELETE', functionPath(name), options)),
    async invoke(name, event, { diff, ...options } = {}) {
      const response = await send('POST', invokePath(name, diff), { ...options, json: event });
      return {
        result: await response.json(),
        invocationId: response.headers.get('oncebox-invocation-id') ?? '',
        start: response.headers.get('oncebox-start'),
      };
    },
    invokeAsync: (name, json, { diff, ...options } = {}) =>
      call(send, invocationSchema, 'POST', invokePath(name, diff), { ...options, json, headers }),
    invocation: (id, options) => call(send, invocationSchema, 'GET', invocationPath(id), options),
    cancel: (id, options) => call(send, invocationSchema, 'DELETE', invocationPath(id), options),
    async invocationFiles(id, options) {
      const { body } = await send('GET', `${invocationPath(id)}/files`, options);
      return body ?? new ReadableStream({ start: (controller) => controller.close() });
    },
    sandboxes: (options) => call(send, sandboxListSchema, 'GET', '/v1/sandboxes', options),
    nodes: async (options) => (await call(send, nodeListSchema, 'GET', '/v1/nodes', options)).nodes,
  };
}
