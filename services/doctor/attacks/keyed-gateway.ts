import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Client, createClient } from '../../../sdk/client.ts';
import { loadSecretKeys } from '../../secrets/key-file.ts';
import type { Config } from '../../shared/config.ts';
import { environmentOf, gatewayChild } from '../../up/children.ts';
import { Supervised } from '../../up/supervised.ts';

/** One who calls with a key of his own. */
export interface Caller {
  client: Client;
  /** What the client has no word for. */
  ask(method: string, path: string, options?: AskOptions): Promise<Response>;
}

interface AskOptions {
  body?: unknown;
  headers?: Record<string, string>;
}

/** A second gateway of the platform, which asks for keys, and two tenants that have one each. */
export interface KeyedGateway {
  /** Whose things are wanted. */
  owner: Caller;
  /** Who wants them. May do all in a tenant of his own. */
  thief: Caller;
  close(): Promise<void>;
}

export async function startKeyedGateway(
  config: Config,
  options: { onLine: (line: string) => void; patience: number },
): Promise<KeyedGateway> {
  const adminKey = `ocb_attacks_${randomBytes(32).toString('hex')}`;
  const { publicKey } = await loadSecretKeys(config);
  const environment = environmentOf({
    ...config,
    ONCEBOX_PORT: 0,
    ONCEBOX_AUTH: 'required',
    ONCEBOX_ADMIN_KEY: adminKey,
    ONCEBOX_REDIS_URL: `unix://${encodeURI(join(config.runDir, 'redis.sock'))}`,
    ONCEBOX_STORE_DIR: config.storeDir,
    ONCEBOX_SECRETS_KEY: '',
    ONCEBOX_SECRETS_PUBLIC_KEY: publicKey,
  });
  const { onLine, patience } = options;
  const gateway = new Supervised(gatewayChild(environment, { onLine, onEvent: onLine, patience }));
  try {
    const url = `http://${config.ONCEBOX_HOST}:${await gateway.start()}`;
    const admin = createClient(url, { apiKey: adminKey });
    const callerOf = async (tenant: string): Promise<Caller> => {
      const { key } = await admin.createKey({ name: 'all', tenant, scopes: ['read', 'invoke', 'deploy'] });
      return {
        client: createClient(url, { apiKey: key }),
        ask: (method, path, { body, headers = {} } = {}) =>
          fetch(url + path, {
            method,
            headers: { 'x-api-key': key, 'content-type': 'application/json', ...headers },
            ...(body !== undefined && { body: JSON.stringify(body) }),
          }),
      };
    };
    return { owner: await callerOf('owner'), thief: await callerOf('thief'), close: () => gateway.stop() };
  } catch (error) {
    await gateway.stop();
    throw error;
  }
}
