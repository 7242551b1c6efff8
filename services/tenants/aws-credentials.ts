import { createHmac } from 'node:crypto';
import type { AwsCredentials } from '../../sdk/contract/key.ts';

/**
 * What a client of AWS signs with. A signature can be checked only by who has the secret, and keys are at rest as hashes; so
 * the secret is made of the key's id by a key that is never on Redis, and nothing of it is kept. Ids are random and never
 * used again.
 */
export function awsCredentialsOf(adminKey: string, id: string): AwsCredentials {
  const secret = createHmac('sha256', adminKey).update(`aws-secret-access-key ${id}`).digest('base64url');
  return { accessKeyId: id, secretAccessKey: secret };
}
