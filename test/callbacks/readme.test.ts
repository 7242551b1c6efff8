import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { signatureOf } from '../../services/callbacks/signature.ts';
import { pathInTree } from '../docs/markdown.ts';

let directory: string;
let isFromOncebox: (signature: string, body: string, secret: string) => boolean;

beforeAll(async () => {
  const readme = await readFile(pathInTree('README.md'), 'utf8');
  const [, code = ''] = /```js\n(.*?isFromOncebox.*?)```/s.exec(readme) ?? [];
  directory = await mkdtemp(join(tmpdir(), 'oncebox-readme-'));
  await writeFile(join(directory, 'verify.mjs'), code);
  ({ isFromOncebox } = await import(/* @vite-ignore */ join(directory, 'verify.mjs')));
});
afterAll(() => rm(directory, { recursive: true }));

const body = '{"id":"inv_a","stdout":"ü"}';

test('what the README shows verifies what is sent', () => {
  expect(isFromOncebox(signatureOf(body, ['secret'], Date.now()), body, 'secret')).toBe(true);
});

test('while the secret is changed, a receiver may know the one or the other', () => {
  const signature = signatureOf(body, ['new', 'old'], Date.now());
  expect(['new', 'old', 'older'].map((secret) => isFromOncebox(signature, body, secret))).toEqual([
    true,
    true,
    false,
  ]);
});

test('another body, another time, an old one and none are refused', () => {
  const signature = signatureOf(body, ['secret'], Date.now());
  expect(isFromOncebox(signature, `${body} `, 'secret')).toBe(false);
  const later = `t=${Math.floor(Date.now() / 1000) + 1}`;
  expect(isFromOncebox(signature.replace(/^t=\d+/, later), body, 'secret')).toBe(false);
  expect(isFromOncebox(signatureOf(body, ['secret'], Date.now() - 301_000), body, 'secret')).toBe(false);
  for (const none of [
    '',
    't=1',
    'v1=',
    `t=${Math.floor(Date.now() / 1000)}`,
    signature.replace('v1=', 'v0='),
  ])
    expect(isFromOncebox(none, body, 'secret')).toBe(false);
});

test('the signature is that of RFC 2104 over the time and the body', () => {
  // printf '1700000000.{"id":"inv_a","stdout":"ü"}' | openssl dgst -sha256 -hmac secret
  expect(signatureOf(body, ['secret'], 1_700_000_000_999)).toBe(
    't=1700000000,v1=fedb7a1adba6ac5ad86b74ac8f3d3b6dc27aec991b0467a79b960306128dc1c9',
  );
});
