import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { pythonToolsDir } from '../../support/tools.ts';

interface CheckedReply {
  operationId: string;
  status: number;
  mediaType: string | null;
  /** Absent where it is not to be looked at. */
  body?: unknown;
}

export interface ReplyChecker {
  /** What is wrong with the reply, by the document. */
  complaints(reply: CheckedReply): Promise<string[]>;
  close(): Promise<void>;
}

/** The validator of jsonschema, which is told the document once. */
export function openReplyChecker(document: object): ReplyChecker {
  const script = new URL('check-replies.py', import.meta.url).pathname;
  const child = spawn('python3', [script], {
    env: { PATH: process.env.PATH, PYTHONPATH: pythonToolsDir() },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const say = (value: object) => child.stdin.write(`${JSON.stringify(value)}\n`);
  say(document);
  return {
    async complaints(reply) {
      say(reply);
      const { value, done } = await answers.next();
      if (done) throw new Error('the validator ended');
      return JSON.parse(value);
    },
    async close() {
      child.stdin.end();
      await exited;
    },
  };
}
