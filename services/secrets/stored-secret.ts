import { createHash } from 'node:crypto';
import { z } from 'zod';
import { secretSchema } from '../../sdk/contract/secret.ts';
import { defaultTenant } from '../../sdk/contract/tenant.ts';

/** Hash: name → `storedSecretSchema` as JSON. */
export const secretsKey = (tenant: string = defaultTenant) => `oncebox:secrets:${tenant}`;

export const storedSecretSchema = secretSchema.omit({ name: true }).extend({
  /** Box in base64. */
  sealed: z.string(),
  /** Names the key that it is sealed for. */
  keyId: z.string(),
});
export type StoredSecret = z.infer<typeof storedSecretSchema>;

/** What a box is sealed for: under another name, or another tenant's, it does not open. */
export function purposeOf(tenant: string, name: string): string {
  return JSON.stringify(['oncebox secret', tenant, name]);
}

/** By which it is noticed that machines have different keys. */
export function keyIdOf(publicKey: string): string {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('hex').slice(0, 16);
}
