import { type BatchItem, type BatchRequest, batchReplySchema } from './contract/batch.ts';
import { type CallOptions, call, type Send } from './send.ts';

export interface BatchOptions extends CallOptions {
  /** Of the calls in the same places. */
  each?: BatchRequest['options'];
}

export interface BatchClient {
  /**
   * Calls a function once for each event, without waiting: what became of each, in their order. One that was refused is an
   * `error` there, and the others are taken.
   */
  invokeBatch(name: string, events: BatchRequest['events'], options?: BatchOptions): Promise<BatchItem[]>;
}

export function createBatchClient(send: Send): BatchClient {
  return {
    async invokeBatch(name, events, { each, ...options } = {}) {
      const path = `/v1/functions/${encodeURIComponent(name)}/batch`;
      const json: BatchRequest = { events, ...(each && { options: each }) };
      return (await call(send, batchReplySchema, 'POST', path, { ...options, json })).invocations;
    },
  };
}
