// A client of the Runtime API that does what none should: each export is a program, named by its argument.
import { once } from 'node:events';
import { connect } from 'node:net';

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const base = `http://${host}:${port}/2018-06-01/runtime`;
const next = () => fetch(`${base}/invocation/next`);
const idOf = (reply) => reply.headers.get('lambda-runtime-aws-request-id');
const post = (path, body, headers) => fetch(`${base}/${path}`, { method: 'POST', body, headers });
const told = async (reply) => [reply.status, (await reply.json()).errorType];

const programs = {
  async refusals() {
    const early = await told(await post('invocation/x/response', '1'));
    const invocation = await next();
    const id = idOf(invocation);
    const event = await invocation.json();
    const refused = {
      early,
      wrongId: await told(await post('invocation/other/response', '1')),
      twice: await told(await next()),
      initError: await told(await post('init/error', '{}')),
      unknown: await told(await post('restore/next', '')),
      method: await told(await fetch(`${base}/invocation/${id}/response`)),
      garbage: await raw('nothing that is HTTP\r\n\r\n'),
      pipelined: await raw('GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nConnection: close\r\n\r\n'),
      largeHead: await raw(`GET / HTTP/1.1\r\na: ${'a'.repeat(100_000)}\r\n\r\n`),
      expects: await raw('POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n', 'body'),
    };
    await post(`invocation/${id}/response`, JSON.stringify({ event, refused }, null, 2));
  },
  async largest() {
    const id = idOf(await next());
    await post(`invocation/${id}/response`, JSON.stringify('x'.repeat(6 * 1024 * 1024 - 2048)));
  },
  async tooLarge() {
    const id = idOf(await next());
    await post(`invocation/${id}/response`, 'x'.repeat(7 * 1024 * 1024));
  },
  async text() {
    await post(`invocation/${idOf(await next())}/response`, 'no JSON,\nbut two lines');
  },
  async errorInStream() {
    const id = idOf(await next());
    const socket = connect(port, host);
    const described = Buffer.from(JSON.stringify({ errorType: 'Torn', errorMessage: 'half way' })).toString(
      'base64',
    );
    socket.write(
      `POST /2018-06-01/runtime/invocation/${id}/response HTTP/1.1\r\nHost: ${host}\r\n` +
        'Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
        'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n4\r\nhalf\r\n' +
        `0\r\nLambda-Runtime-Function-Error-Type: Torn\r\nLambda-Runtime-Function-Error-Body: ${described}\r\n\r\n`,
    );
    await once(socket, 'close');
  },
  async manyConnections() {
    const id = idOf(await next());
    const sockets = Array.from({ length: 40 }, () => connect(port, host).on('error', () => {}));
    await Promise.all(sockets.slice(0, 10).map((socket) => once(socket, 'connect')));
    for (const socket of sockets) socket.destroy();
    await post(`invocation/${id}/response`, '"still here"');
  },
  async memory() {
    const { readFileSync, readdirSync } = await import('node:fs');
    const id = idOf(await next());
    const server = readdirSync('/proc').find((pid) => Number(pid) > 1 && Number(pid) !== process.pid);
    const read = (name) => {
      try {
        return String(readFileSync(`/proc/${server}/${name}`)).length;
      } catch (error) {
        return error.code;
      }
    };
    await post(
      `invocation/${id}/response`,
      JSON.stringify([read('maps'), read('environ'), read('comm') > 0]),
    );
  },
};

async function raw(...parts) {
  let said = '';
  const socket = connect(port, host).setEncoding('latin1');
  socket.on('data', (text) => {
    said += text;
  });
  // Who refuses in the middle of a request closes behind the answer: what comes yet is answered with a reset.
  socket.on('error', () => {});
  for (const part of parts) socket.write(part);
  socket.end();
  await new Promise((resolve) => socket.once('close', resolve));
  return said.match(/HTTP\/1.1 \d+/g)?.map((line) => Number(line.slice(9)));
}

await programs[process.argv[2]]();
