'use strict';
// Results that are told while they are made: records, each a line, ahead of the result itself.
const native = require('/.oncebox/zygote.node');

/** The worker cuts what is longer; bytes, or characters of text. */
const pieceLength = 128 * 1024;

module.exports = { isStreamed, sendChunk, sendRecord, sendStream };

/** Generators and streams. An array, a Map or a string can be iterated too, and is a value. */
function isStreamed(value) {
  if (typeof value !== 'object' || value === null) return false;
  if (typeof value[Symbol.asyncIterator] === 'function') return true;
  return Object.prototype.toString.call(value) === '[object Generator]';
}

/** Rejects with what the stream throws; what was sent before that stays sent. */
async function sendStream(value) {
  for await (const chunk of value) sendChunk(chunk);
}

function sendChunk(chunk) {
  if (typeof chunk === 'string') {
    for (let at = 0, end; at < chunk.length; at = end) {
      end = Math.min(at + pieceLength, chunk.length);
      // Not between the halves of a surrogate pair.
      if (end < chunk.length && (chunk.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
      sendRecord({ type: 'chunk', text: chunk.slice(at, end) });
    }
    return;
  }
  if (!ArrayBuffer.isView(chunk) && !(chunk instanceof ArrayBuffer)) {
    throw new TypeError(`a streamed result is made of strings and bytes, not of ${typeof chunk}`);
  }
  const bytes = ArrayBuffer.isView(chunk)
    ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    : Buffer.from(chunk);
  for (let at = 0; at < bytes.length; at += pieceLength) {
    sendRecord({
      type: 'chunk',
      base64: bytes.toString('base64', at, Math.min(at + pieceLength, bytes.length)),
    });
  }
}

/** Waits, with all of the process, while who reads the result is slower than it is made. */
function sendRecord(record) {
  native.sendResult(Buffer.from(`${JSON.stringify(record)}\n`));
}
