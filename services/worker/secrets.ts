import type { Secret } from '../../runtime/sandbox/sandbox.ts';
import { boxKeys, unseal } from '../secrets/sealed-box.ts';
import { keyIdOf, purposeOf, secretsKey, storedSecretSchema } from '../secrets/stored-secret.ts';
import type { Redis } from '../shared/redis.ts';

/** The values that a tenant's secrets have now. Rejects and says which one is not there, or is not for this node's key. */
export type ReadSecrets = (tenant: string, names: readonly string[]) => Promise<Secret[]>;

/** `privateKey` is empty where the node has none. */
export function createSecretReader(redis: Redis, privateKey: string): ReadSecrets {
  const keyId = privateKey === '' ? undefined : keyIdOf(boxKeys(privateKey).publicKey);
  return async (tenant, names) => {
    if (names.length === 0) return [];
    if (keyId === undefined) throw new Error('this node has no key for secrets: set ONCEBOX_SECRETS_KEY');
    const texts = await redis.hmget(secretsKey(tenant), ...names);
    return names.map((name, index) => {
      const text = texts[index];
      if (text == null) throw new Error(`the secret ${name} is gone`);
      const { sealed, keyId: sealedFor } = storedSecretSchema.parse(JSON.parse(text));
      if (sealedFor !== keyId)
        throw new Error(
          `the secret ${name} was put for another key: put it again, or give all nodes the same ONCEBOX_SECRETS_KEY`,
        );
      try {
        return { name, value: unseal(privateKey, Buffer.from(sealed, 'base64'), purposeOf(tenant, name)) };
      } catch (error) {
        throw new Error(`the secret ${name} is damaged, or is not what it was put as`, { cause: error });
      }
    });
  };
}
