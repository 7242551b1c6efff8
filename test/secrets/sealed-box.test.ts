import { expect, test } from 'vitest';
import { boxKeys, seal, unseal } from '../../services/secrets/sealed-box.ts';

const keys = boxKeys();
const content = Buffer.from('hush');
const open = (box: Uint8Array, { privateKey = keys.privateKey, purpose = 'a' } = {}) =>
  unseal(privateKey, box, purpose);

test('what is sealed opens with the private key, for its purpose', () => {
  const box = seal(keys.publicKey, content, 'a');
  expect(open(box)).toEqual(content);
  expect(box.includes(content)).toBe(false);
  expect(open(seal(keys.publicKey, Buffer.alloc(0), 'a'))).toEqual(Buffer.alloc(0));
});

test('a box opens with no other key, and for no other purpose', () => {
  const box = seal(keys.publicKey, content, 'a');
  expect(() => open(box, { privateKey: boxKeys().privateKey })).toThrow();
  expect(() => open(box, { purpose: 'b' })).toThrow();
  // The public key is all that a gateway has.
  expect(() => open(box, { privateKey: keys.publicKey })).toThrow();
});

test('a box with any bit changed does not open, nor one that is cut', () => {
  const box = seal(keys.publicKey, content, 'a');
  for (let at = 0; at < box.length; at++) {
    const changed = Buffer.from(box);
    changed[at] = (changed[at] as number) ^ 1;
    expect(() => open(changed), `byte ${at}`).toThrow();
    expect(() => open(box.subarray(0, at)), `${at} bytes`).toThrow();
  }
});

test('two boxes of one content have nothing in common', () => {
  const [one, other] = [seal(keys.publicKey, content, 'a'), seal(keys.publicKey, content, 'a')];
  for (const [from, to] of [
    [0, 32],
    [32, 44],
    [44, 48],
    [48, 64],
  ])
    expect(one.subarray(from, to)).not.toEqual(other.subarray(from, to));
});

test('a public key follows from its private key as RFC 7748 says, section 6.1', () => {
  const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64');
  const alice = base64('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
  expect(boxKeys(alice).publicKey).toBe(
    base64('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'),
  );
  expect(() => boxKeys('AAAA')).toThrow('32 bytes');
});
