import { randomBytes } from 'node:crypto';

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/**
 * `inv_` and 128 random bits in base32 (RFC 4648, lower case): whoever knows an id may read the record, so it
 * cannot be guessed. Never an integer and free of ':', which BullMQ refuses in a job id.
 */
export function newInvocationId(): string {
  return invocationIdOf(randomBytes(16));
}

/** The same for the same 128 bits, of which nobody else may know. */
export function invocationIdOf(secret: Buffer): string {
  let bits = BigInt(`0x${secret.toString('hex')}`) << 2n;
  let text = '';
  for (let i = 0; i < 26; i++) {
    text = alphabet[Number(bits & 31n)] + text;
    bits >>= 5n;
  }
  return `inv_${text}`;
}

export function isInvocationId(text: string): boolean {
  return /^inv_[a-z2-7]{26}$/.test(text);
}
