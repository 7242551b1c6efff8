import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';

/*
 * Who has the public key can put something into a box, and only who has the private key gets it out: X25519 with a key of
 * the sender's for each box, HKDF-SHA256 (RFC 5869) over the secret that both share, AES-256-GCM. It is the scheme of
 * HPKE's base mode (RFC 9180) without its framing. What the box is for is no part of it, but it opens for nothing else.
 *
 *   box = the sender's public key (32 bytes), nonce (12), ciphertext, tag (16)
 */

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const cipher = 'aes-256-gcm';

/** In front of a raw key in its DER encoding (RFC 8410). */
const privatePrefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
const publicPrefix = Buffer.from('302a300506032b656e032100', 'hex');

export interface BoxKeys {
  /** 32 bytes in base64. */
  privateKey: string;
  publicKey: string;
}

/** Of the private key given, or of a new one. */
export function boxKeys(privateKey: string = randomBytes(keyBytes).toString('base64')): BoxKeys {
  const publicKey = rawPublicKey(createPublicKey(readPrivateKey(privateKey)));
  return { privateKey, publicKey: publicKey.toString('base64') };
}

export function seal(publicKey: string, content: Uint8Array, purpose: string): Buffer {
  const recipient = readPublicKey(Buffer.from(publicKey, 'base64'));
  const sender = generateKeyPairSync('x25519');
  const senderKey = rawPublicKey(sender.publicKey);
  const shared = diffieHellman({ privateKey: sender.privateKey, publicKey: recipient });
  const nonce = randomBytes(nonceBytes);
  const sealing = createCipheriv(cipher, contentKey(shared, senderKey, rawPublicKey(recipient)), nonce);
  sealing.setAAD(Buffer.from(purpose));
  return Buffer.concat([senderKey, nonce, sealing.update(content), sealing.final(), sealing.getAuthTag()]);
}

/** Throws when the box is for another key or purpose, or is not as it was sealed. */
export function unseal(privateKey: string, box: Uint8Array, purpose: string): Buffer {
  if (box.length < keyBytes + nonceBytes + tagBytes) throw new Error('the box is too short');
  const own = readPrivateKey(privateKey);
  const senderKey = Buffer.from(box.subarray(0, keyBytes));
  const shared = diffieHellman({ privateKey: own, publicKey: readPublicKey(senderKey) });
  const key = contentKey(shared, senderKey, rawPublicKey(createPublicKey(own)));
  const nonce = box.subarray(keyBytes, keyBytes + nonceBytes);
  const opening = createDecipheriv(cipher, key, nonce, { authTagLength: tagBytes });
  opening.setAAD(Buffer.from(purpose));
  opening.setAuthTag(box.subarray(-tagBytes));
  return Buffer.concat([opening.update(box.subarray(keyBytes + nonceBytes, -tagBytes)), opening.final()]);
}

/** Bound to both keys, so that no other pair leads to it. */
function contentKey(shared: Buffer, sender: Buffer, recipient: Buffer): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', shared, Buffer.concat([sender, recipient]), 'oncebox secret', 32));
}

function readPrivateKey(privateKey: string): KeyObject {
  const raw = Buffer.from(privateKey, 'base64');
  if (raw.length !== keyBytes) throw new Error(`a private key has ${keyBytes} bytes`);
  return createPrivateKey({ key: Buffer.concat([privatePrefix, raw]), format: 'der', type: 'pkcs8' });
}

function readPublicKey(raw: Uint8Array): KeyObject {
  if (raw.length !== keyBytes) throw new Error(`a public key has ${keyBytes} bytes`);
  return createPublicKey({ key: Buffer.concat([publicPrefix, raw]), format: 'der', type: 'spki' });
}

function rawPublicKey(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(publicPrefix.length);
}
