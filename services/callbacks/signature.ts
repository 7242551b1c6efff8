import { createHmac } from 'node:crypto';

/**
 * The header `Oncebox-Signature`: `t=<Unix time, seconds>,v1=<hex>`, where hex is the HMAC-SHA-256 of `<t>.<body>`. There is a
 * `v1` for each of the secrets: two while one takes the place of another.
 */
export function signatureOf(body: string, secrets: readonly string[], nowMs: number): string {
  const t = Math.floor(nowMs / 1000);
  const signatures = secrets.map(
    (secret) => `v1=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`,
  );
  return [`t=${t}`, ...signatures].join(',');
}
