/**
 * The text of captured output. Bytes that are not UTF-8 become U+FFFD; a character that the cap cut in two is
 * left out, as the program did write it whole.
 */
export function decodeOutput(bytes: Uint8Array | undefined, isTruncated = false): string {
  if (bytes === undefined || bytes.length === 0) return '';
  // In streaming mode the decoder keeps an unfinished last character for a next chunk, which never comes.
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes, { stream: isTruncated });
}
