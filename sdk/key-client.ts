import {
  type ApiKey,
  type CreatedKey,
  type CreateKeyRequest,
  createdKeySchema,
  keyListSchema,
} from './contract/key.ts';
import { type CallOptions, call, type Send } from './send.ts';

/** Needs a key of scope `admin`, or a platform that asks for none. */
export interface KeyClient {
  /** The reply is the only one that ever shows the key itself. */
  createKey(request: CreateKeyRequest, options?: CallOptions): Promise<CreatedKey>;
  /** Oldest first. */
  keys(options?: CallOptions): Promise<ApiKey[]>;
  /** It opens nothing any more: at this gateway at once, at others within seconds. */
  deleteKey(id: string, options?: CallOptions): Promise<void>;
}

export function createKeyClient(send: Send): KeyClient {
  return {
    createKey: (json, options) => call(send, createdKeySchema, 'POST', '/v1/keys', { ...options, json }),
    keys: async (options) => (await call(send, keyListSchema, 'GET', '/v1/keys', options)).keys,
    deleteKey: async (id, options) =>
      void (await send('DELETE', `/v1/keys/${encodeURIComponent(id)}`, options)),
  };
}
