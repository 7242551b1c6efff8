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
import { createInteractiveClient, type InteractiveClient } from './interactive-client.ts';
import {
  type AsyncInvocationOptions,
  asyncRequest,
  type InvocationOptions,
  invocationRequest,
} from './invocation-headers.ts';
import { createKeyClient, type KeyClient } from './key-client.ts';
import { createLanguageClient, type LanguageClient } from './language-client.ts';
import { createQueueClient, type QueueClient } from './queue-client.ts';
import { pause } from './retry.ts';
import { createScheduleClient, type ScheduleClient } from './schedule-client.ts';
import { createSecretClient, type SecretClient } from './secret-client.ts';
import { type CallOptions, type ClientOptions, call, createSend } from './send.ts';
import { createStreamClient, type StreamClient } from './stream-client.ts';

export type { TaskOptions } from './image-client.ts';
export { OnceboxError } from './oncebox-error.ts';

export interface InvokeResult<Result = unknown> {
  /** What the handler returned. */
  result: Result;
  invocationId: string;
  start: string | null;
  /** The version that was called; undefined where the platform does not say. */
  version: number | undefined;
}

interface DiffOption {
  /** Whether the invocation's record lists what the function wrote; `archive` keeps the files too. */
  diff?: boolean | 'archive';
}
export type InvokeOptions = InvocationOptions & DiffOption;
export type InvokeAsyncOptions = AsyncInvocationOptions & DiffOption;

/**
 * Functions are named as `name`, `name:alias` or `name:version`. Every call that the platform refuses rejects with an
 * OnceboxError; one whose connection fails with what `fetch` rejects with.
 */
export interface Client
  extends BatchClient,
    CallbackClient,
    FunctionClient,
    ImageClient,
    InteractiveClient,
    KeyClient,
    LanguageClient,
    ScheduleClient,
    QueueClient,
    SecretClient,
    StreamClient {
  /** Resolves with the record whatever the program did. */
  run(request: RunRequest, options?: InvocationOptions): Promise<Invocation>;
  /** Does not wait: returns the queued record. */
  runAsync(request: RunRequest, options?: AsyncInvocationOptions): Promise<Invocation>;
  deploy(name: string, request: DeployRequest, options?: CallOptions): Promise<DeployedFunction>;
  functions(options?: CallOptions): Promise<DeployedFunction[]>;
  getFunction(name: string, options?: CallOptions): Promise<FunctionRecord>;
  deleteFunction(name: string, options?: CallOptions): Promise<void>;
  /** Rejects with an OnceboxError whose code is the outcome's status when the handler did not end `ok`. */
  invoke<Result = unknown>(
    name: string,
    event?: unknown,
    options?: InvokeOptions,
  ): Promise<InvokeResult<Result>>;
  invokeAsync(name: string, event?: unknown, options?: InvokeAsyncOptions): Promise<Invocation>;
  invocation(id: string, options?: CallOptions): Promise<Invocation>;
  /** Resolves with the record once the invocation is over. Aborting it cancels nothing. */
  wait(id: string, options?: CallOptions): Promise<Invocation>;
  cancel(id: string, options?: CallOptions): Promise<Invocation>;
  /** The files that an invocation with `diff: "archive"` left, as a tar. */
  invocationFiles(id: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>>;
  sandboxes(options?: CallOptions): Promise<SandboxList>;
  nodes(options?: CallOptions): Promise<NodeInfo[]>;
}

/**
 * A client of the gateway at `baseUrl`, such as `http://127.0.0.1:8080`; empty, in a page that the gateway's own origin
 * serves. Throws a ZodError when an option is out of range.
 */
export function createClient(baseUrl: string, options?: ClientOptions): Client {
  const send = createSend(baseUrl, options);
  const functionPath = (name: string) => `/v1/functions/${encodeURIComponent(name)}`;
  const invokePath = (name: string, diff: InvokeOptions['diff'] = false) =>
    `${functionPath(name)}/invoke${diff === false ? '' : `?diff=${diff}`}`;
  const invocationPath = (id: string) => `/v1/invocations/${encodeURIComponent(id)}`;
  const invocation = (id: string, options?: CallOptions) =>
    call(send, invocationSchema, 'GET', invocationPath(id), options);

  return {
    ...createFunctionClient(send),
    ...createImageClient(send),
    ...createInteractiveClient(send),
    ...createKeyClient(send),
    ...createLanguageClient(send),
    ...createBatchClient(send),
    ...createCallbackClient(send),
    ...createStreamClient(send),
    ...createQueueClient(send),
    ...createScheduleClient(send),
    ...createSecretClient(send),
    run: (json, options) =>
      call(send, invocationSchema, 'POST', '/v1/run', { ...invocationRequest(options), json }),
    runAsync: (json, options) =>
      call(send, invocationSchema, 'POST', '/v1/run', { ...asyncRequest(options), json }),
    deploy: (name, json, options) =>
      call(send, deployedFunctionSchema, 'PUT', functionPath(name), { ...options, json }),
    functions: async (options) =>
      (await call(send, functionListSchema, 'GET', '/v1/functions', options)).functions,
    getFunction: (name, options) => call(send, functionRecordSchema, 'GET', functionPath(name), options),
    deleteFunction: async (name, options) => void (await send('DELETE', functionPath(name), options)),
    async invoke<Result>(name: string, json?: unknown, { diff, ...options }: InvokeOptions = {}) {
      const response = await send('POST', invokePath(name, diff), { ...invocationRequest(options), json });
      const version = response.headers.get('oncebox-function-version');
      return {
        result: (await response.json()) as Result,
        invocationId: response.headers.get('oncebox-invocation-id') ?? '',
        start: response.headers.get('oncebox-start'),
        version: version === null ? undefined : Number(version),
      };
    },
    invokeAsync: (name, json, { diff, ...options } = {}) =>
      call(send, invocationSchema, 'POST', invokePath(name, diff), { ...asyncRequest(options), json }),
    invocation,
    async wait(id, options) {
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 1.5, longestPauseMs)) {
        const record = await invocation(id, options);
        if (record.status === 'done' || record.status === 'failed') return record;
        await pause(pauseMs, options?.signal);
      }
    },
    cancel: (id, options) => call(send, invocationSchema, 'DELETE', invocationPath(id), options),
    async invocationFiles(id, options) {
      const { body } = await send('GET', `${invocationPath(id)}/files`, options);
      return body ?? new ReadableStream({ start: (controller) => controller.close() });
    },
    sandboxes: (options) => call(send, sandboxListSchema, 'GET', '/v1/sandboxes', options),
    nodes: async (options) => (await call(send, nodeListSchema, 'GET', '/v1/nodes', options)).nodes,
  };
}

/** Between two looks at a record that is waited for. */
const firstPauseMs = 50;
const longestPauseMs = 2_000;
