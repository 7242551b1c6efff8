import { createHash, createHmac, type Hash, type Hmac, timingSafeEqual } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Context } from 'hono';
import type { Authenticator } from '../../tenants/authenticator.ts';
import type { Identity } from '../../tenants/identity.ts';
import type { GatewayEnv } from '../deps.ts';
import { readBody } from '../read-body.ts';
import { LambdaError } from './errors.ts';
import { isLambdaPath } from './paths.ts';

/** AWS's own: clients whose clock is further off learn ours by the reply's Date, and sign again. */
const skewMaxMs = 5 * 60_000;
const algorithm = 'AWS4-HMAC-SHA256';
const service = 'lambda';

/** Whether the request says who calls by a signature (AWS Signature Version 4). Elsewhere such a header is the function's. */
export function isSigned(c: Context): boolean {
  return isLambdaPath(c.req.path) && (c.req.header('authorization') ?? '').startsWith(algorithm);
}

/**
 * Who signed the request, whose body is read for that, and kept. Throws UnrecognizedClientException, before anything of the
 * body is read, and InvalidSignatureException where it is not what was signed, or was signed too long ago.
 */
export async function signedIdentity(
  c: Context<GatewayEnv>,
  authenticator: Authenticator,
  maxBytes: number,
): Promise<Identity> {
  const { accessKeyId, scopeDate, region, scopeService, signedHeaders, signature } = parse(c);
  const signedAt = c.req.header('x-amz-date') ?? '';
  const signedAtMs = dateOf(signedAt);
  if (signedAtMs === undefined || !signedAt.startsWith(scopeDate))
    throw incomplete('the date of the signature is missing, or is not that of its scope');
  if (Math.abs(Date.now() - signedAtMs) > skewMaxMs)
    throw wrong(`Signature expired: ${signedAt} is more than 5 minutes from ${new Date().toISOString()}`);
  if (scopeService !== service) throw wrong(`Credential should be scoped to correct service: '${service}'.`);
  const unsigned = unsignedHeader(c, signedHeaders);
  if (unsigned !== undefined) throw wrong(`'${unsigned}' must be a signed header.`);
  const signer = await authenticator.signer(accessKeyId);
  if (!signer) {
    throw new LambdaError(
      'UnrecognizedClientException',
      403,
      'The security token included in the request is invalid.',
    );
  }
  const body = await readBody(c, maxBytes);
  c.set('body', body);
  const announced = c.req.header('x-amz-content-sha256');
  if (announced !== undefined && announced !== createHash('sha256').update(body).digest('hex'))
    throw wrong('The payload is not the one that was signed.');

  const url = new URL(c.req.url);
  const headers = signedHeaders.map((name): [string, string] => [name, c.req.header(name) ?? '']);
  const signing = new SignatureV4({
    ...{ service, region, credentials: signer.credentials, sha256: NodeSha256, applyChecksum: false },
  });
  const expected = await signing.sign(
    {
      method: c.req.method,
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query: queryOf(url),
      headers: Object.fromEntries(headers),
      body,
    },
    { signingDate: new Date(signedAtMs), signableHeaders: new Set(signedHeaders) },
  );
  const [, right = ''] = /Signature=([0-9a-f]{64})$/.exec(expected.headers.authorization ?? '') ?? [];
  if (right === '' || !timingSafeEqual(Buffer.from(right), Buffer.from(signature))) {
    throw wrong(
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
    );
  }
  return signer.identity;
}

const header =
  /^AWS4-HMAC-SHA256 +Credential=([^/,\s]{1,128})\/(\d{8})\/([a-z0-9-]{1,32})\/([a-z0-9-]{1,32})\/aws4_request, *SignedHeaders=([a-z0-9;_-]{1,4096}), *Signature=([0-9a-f]{64}) *$/;

function parse(c: Context) {
  const [, accessKeyId = '', scopeDate = '', region = '', scopeService = '', names = '', signature = ''] =
    header.exec(c.req.header('authorization') ?? '') ?? [];
  if (accessKeyId === '')
    throw incomplete('Authorization header requires Credential, SignedHeaders and Signature.');
  return { accessKeyId, scopeDate, region, scopeService, signedHeaders: names.split(';'), signature };
}

/** The host, and all that the service goes by. */
function unsignedHeader(c: Context, signedHeaders: readonly string[]): string | undefined {
  const signed = new Set(signedHeaders);
  const must = [...c.req.raw.headers.keys()].filter((name) => name.startsWith('x-amz-'));
  return ['host', ...must].find((name) => !signed.has(name));
}

/** `20261121T095000Z`, in milliseconds. */
function dateOf(text: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)?.slice(1);
  if (!parts) return undefined;
  const [year, month, day, hour, minute, second] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function queryOf(url: URL): Record<string, string | string[]> {
  return Object.fromEntries(
    [...url.searchParams.keys()].map((name) => [name, url.searchParams.getAll(name)]),
  );
}

const wrong = (message: string) => new LambdaError('InvalidSignatureException', 403, message);
const incomplete = (message: string) => new LambdaError('IncompleteSignatureException', 400, message);

/** What the signer hashes with: SHA-256, or with a secret its HMAC. */
class NodeSha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }
  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(bytesOf(data));
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {
    throw new Error('is made anew instead');
  }
}

function bytesOf(data: string | ArrayBuffer | ArrayBufferView): Buffer {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data);
}
