'use strict';
// The global `awslambda`, by which a handler of Lambda's streams its response:
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
const { Writable } = require('node:stream');
const { finished } = require('node:stream/promises');
const { sendChunk, sendRecord } = require('/.oncebox/stream.cjs');

module.exports = { callStreaming, isStreaming, provideAwsLambda };

const streaming = Symbol.for('aws.lambda.runtime.handler.streaming');

function provideAwsLambda() {
  const streamifyResponse = (handler) => Object.defineProperty(handler, streaming, { value: 'response' });
  const value = Object.freeze({ streamifyResponse, HttpResponseStream: Object.freeze({ from: withHead }) });
  Object.defineProperty(globalThis, 'awslambda', { value, configurable: true });
}

function isStreaming(callee) {
  return callee[streaming] !== undefined;
}

/** Resolves when the response is at its end; rejects with what the handler throws, or with what it ends the stream with. */
async function callStreaming(handler, event, context, isHttp) {
  const response = new ResponseStream(isHttp);
  const ended = finished(response);
  // Heard below, unless the handler throws first.
  ended.catch(() => {});
  await handler(event, response, context);
  if (!response.writableEnded) response.end();
  await ended;
}

class ResponseStream extends Writable {
  #isHttp;
  #contentType = 'application/octet-stream';

  constructor(isHttp) {
    super({ decodeStrings: true });
    this.#isHttp = isHttp;
  }

  setContentType(contentType) {
    this.#contentType = contentType;
  }

  /** Ahead of the first byte. Who is called otherwise than by HTTP has it as Lambda does: as JSON, before eight NULs. */
  sendHead({ statusCode = 200, headers = {}, cookies = [] }) {
    const isHttp = this.#isHttp;
    this.#isHttp = false;
    if (!isHttp) return sendChunk(`${JSON.stringify({ statusCode, headers, cookies })}${'\0'.repeat(8)}`);
    const pairs = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]);
    const all = [...pairs, ...cookies.map((cookie) => ['set-cookie', cookie])];
    sendRecord({ type: 'head', status: statusCode, headers: all });
  }

  _write(chunk, _encoding, done) {
    this.#sendDefaultHead();
    sendChunk(chunk);
    done();
  }

  _final(done) {
    this.#sendDefaultHead();
    done();
  }

  #sendDefaultHead() {
    if (this.#isHttp) this.sendHead({ headers: { 'content-type': this.#contentType } });
  }
}

function withHead(response, metadata) {
  response.sendHead(metadata);
  return response;
}
