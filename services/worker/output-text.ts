import { isUtf8 } from 'node:buffer';

/** Cuts what a stream says into whole characters. */
export interface CharacterSplitter {
  /** What was held back and these bytes, but for a last character that is not whole yet. */
  push(bytes: Uint8Array): Buffer;
  /** What was held back: nothing follows. */
  end(): Buffer;
}

export function createCharacterSplitter(): CharacterSplitter {
  let held = Buffer.alloc(0);
  return {
    push(bytes) {
      const all = Buffer.concat([held, bytes]);
      const end = all.length - unfinishedBytes(all);
      held = all.subarray(end);
      return all.subarray(0, end);
    },
    end() {
      const last = held;
      held = Buffer.alloc(0);
      return last;
    },
  };
}

/** Of a character that may go on behind the end: its first byte says how many it has (RFC 3629, section 3). */
function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte >= 0x80 && byte < 0xc0) continue;
    const length = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return byte < 0xf8 && length > back ? back : 0;
  }
  return 0;
}

/** As an event says it: as text, and the bytes too where text cannot say them. */
export function outputText(bytes: Buffer): { text: string; base64?: string } {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  return isUtf8(bytes) ? { text } : { text, base64: bytes.toString('base64') };
}
