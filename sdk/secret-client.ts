import { type SecretRequest, type SecretSummary, secretListSchema, secretSchema } from './contract/secret.ts';
import { type CallOptions, call, type Send } from './send.ts';

export interface SecretClient {
  /** Keeps a secret, which nobody can read back: functions that name it in `secrets` find it in `/run/secrets`. */
  putSecret(name: string, request: SecretRequest, options?: CallOptions): Promise<SecretSummary>;
  /** Names, sizes and times. */
  secrets(options?: CallOptions): Promise<SecretSummary[]>;
  deleteSecret(name: string, options?: CallOptions): Promise<void>;
}

export function createSecretClient(send: Send): SecretClient {
  const secretPath = (name: string) => `/v1/secrets/${encodeURIComponent(name)}`;
  return {
    putSecret: (name, json, options) =>
      call(send, secretSchema, 'PUT', secretPath(name), { ...options, json }),
    secrets: async (options) => (await call(send, secretListSchema, 'GET', '/v1/secrets', options)).secrets,
    deleteSecret: async (name, options) => void (await send('DELETE', secretPath(name), options)),
  };
}
