import { type CallbackSecret, callbackSecretSchema } from './contract/callback.ts';
import { type CallOptions, call, type Send } from './send.ts';

export interface CallbackClient {
  /** What callbacks are signed with. */
  callbackSecret(options?: CallOptions): Promise<CallbackSecret>;
  /** Makes a new one; for a day callbacks are signed with the one before too. */
  rotateCallbackSecret(options?: CallOptions): Promise<CallbackSecret>;
}

export function createCallbackClient(send: Send): CallbackClient {
  const path = '/v1/callback-secret';
  return {
    callbackSecret: (options) => call(send, callbackSecretSchema, 'GET', path, options),
    rotateCallbackSecret: (options) => call(send, callbackSecretSchema, 'POST', path, options),
  };
}
