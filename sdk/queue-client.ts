import {
  type DeadLetter,
  deadLetterListSchema,
  deadLetterSchema,
  type InvocationSummary,
} from './contract/dead-letter.ts';
import { type FunctionSettings, functionSettingsSchema } from './contract/function-settings.ts';
import { type Invocation, invocationSchema } from './contract/invocation.ts';
import { type InvocationListQuery, invocationListSchema } from './contract/invocation-list.ts';
import { type CallOptions, call, type Send } from './send.ts';

export interface QueueClient {
  /** Newest first. */
  invocations(query?: Partial<InvocationListQuery>, options?: CallOptions): Promise<InvocationSummary[]>;
  /** Asynchronous invocations of functions that did not end `ok`, newest first. */
  deadLetters(query?: { function?: string; limit?: number }, options?: CallOptions): Promise<DeadLetter[]>;
  deadLetter(id: string, options?: CallOptions): Promise<DeadLetter>;
  /** Runs it again under a new id; a second time it is the same one. */
  redrive(id: string, options?: CallOptions): Promise<Invocation>;
  deleteDeadLetter(id: string, options?: CallOptions): Promise<void>;
  functionSettings(name: string, options?: CallOptions): Promise<FunctionSettings>;
  /** Sets all of them: what is not given has its default. */
  setFunctionSettings(
    name: string,
    settings: FunctionSettings,
    options?: CallOptions,
  ): Promise<FunctionSettings>;
}

export function createQueueClient(send: Send): QueueClient {
  const deadPath = (id: string) => `/v1/dead-letters/${encodeURIComponent(id)}`;
  const settingsPath = (name: string) => `/v1/functions/${encodeURIComponent(name)}/settings`;
  return {
    invocations: async (query, options) =>
      (await call(send, invocationListSchema, 'GET', withQuery('/v1/invocations', query), options))
        .invocations,
    deadLetters: async (query, options) =>
      (await call(send, deadLetterListSchema, 'GET', withQuery('/v1/dead-letters', query), options))
        .deadLetters,
    deadLetter: (id, options) => call(send, deadLetterSchema, 'GET', deadPath(id), options),
    redrive: (id, options) => call(send, invocationSchema, 'POST', `${deadPath(id)}/redrive`, options),
    deleteDeadLetter: async (id, options) => void (await send('DELETE', deadPath(id), options)),
    functionSettings: (name, options) =>
      call(send, functionSettingsSchema, 'GET', settingsPath(name), options),
    setFunctionSettings: (name, json, options) =>
      call(send, functionSettingsSchema, 'PUT', settingsPath(name), { ...options, json }),
  };
}

function withQuery(path: string, query: object = {}): string {
  const given = Object.entries(query).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}
