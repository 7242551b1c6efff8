// A function that answers an HTTP request with what no handler can return: it writes to the channel of its result. The
// query says what: `headers` as JSON, `how` they go out.
import { readdirSync, readlinkSync, writeSync } from 'node:fs';

/** The pipe above stderr of which this process has one end only. */
function channel() {
  const targets = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [[Number(fd), readlinkSync(`/proc/self/fd/${fd}`)]];
    } catch {
      return [];
    }
  });
  const isAlone = ([fd, target]) =>
    fd > 2 && target.startsWith('pipe:') && targets.filter(([, other]) => other === target).length === 1;
  return targets.filter(isAlone).map(([fd]) => fd);
}

export function handler({ query }) {
  const headers = JSON.parse(query.headers);
  if (query.how === 'returned') return new Response('body', { headers });
  const head = { status: 200, headers };
  const text =
    query.how === 'streamed'
      ? `${JSON.stringify({ type: 'head', ...head })}\n${JSON.stringify({ type: 'chunk', text: 'body' })}\n{"type":"result","value":null}\0\0`
      : `${JSON.stringify({ type: 'result', value: { ...head, body: 'body' } })}\0\0`;
  for (const fd of channel()) {
    try {
      writeSync(fd, text);
    } catch {
      // An end that is read from.
    }
  }
  for (;;); // the NUL ends it
}
