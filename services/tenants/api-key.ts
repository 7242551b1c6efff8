import { createHash, randomBytes } from 'node:crypto';

/*
 * `ocb_<id>_<secret>`: the id finds the record, the secret opens. The secret has 256 random bits, so one round of SHA-256
 * is as good at rest as any slow hash: nobody tries them out. The prefix lets scanners of published code find a key.
 */

const pattern = /^ocb_([a-z0-9]{1,32})_[A-Za-z0-9]{32,128}$/;
const idBytes = 10;
const secretBytes = 32;

export function newApiKey(): { id: string; key: string } {
  const id = randomBytes(idBytes).toString('hex');
  return { id, key: `ocb_${id}_${randomBytes(secretBytes).toString('hex')}` };
}

/** Undefined for what is no key at all. */
export function idOfApiKey(key: string): string | undefined {
  return pattern.exec(key)?.[1];
}

/** Of the whole key, so that one record's secret opens no other record. */
export function hashApiKey(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
