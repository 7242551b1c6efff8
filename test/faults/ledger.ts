import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { invocationQueueName, queuePrefix } from '../../services/queue/job.ts';

/** What Redis has written down of one invocation, in the order of its append-only file. */
export interface LedgerEntry {
  id: string;
  /** The job as JSON. */
  data: string;
  /** Times that the job was written. */
  added: number;
  /** Times that a worker took it to run it; what was given up is taken once more, to be called failed. */
  taken: number;
  isGivenUp: boolean;
  /** How it ended, each time that this was written: an outcome's status. */
  ends: string[];
  /** Why it was lost, if it was. */
  reason?: string;
}

/**
 * Reads the append-only file of a Redis that has stopped: every command that it carried out, kills or not. Throws when it
 * was rewritten meanwhile, for then the past is not in it.
 */
export async function readLedger(redisDir: string): Promise<Map<string, LedgerEntry>> {
  const directory = join(redisDir, 'appendonlydir');
  const files = (await readdir(directory)).filter((name) => name.endsWith('.incr.aof'));
  if (files.length !== 1 || !files[0]?.includes('.1.incr.'))
    throw new Error(`cannot account for all: the append-only file was rewritten (${files.join(', ')})`);
  const entries = new Map<string, LedgerEntry>();
  for (const command of commandsOf(await readFile(join(directory, files[0])))) note(entries, command);
  return entries;
}

const jobKey = new RegExp(`^${queuePrefix}:${invocationQueueName}:(inv_[a-z2-7]{26})$`);
const cancelledKey = /^oncebox:cancelled:(inv_[a-z2-7]{26})$/;

const waitingList = `${queuePrefix}:${invocationQueueName}:wait`;

function note(entries: Map<string, LedgerEntry>, [verb = '', key = '', ...rest]: string[]): void {
  const name = verb.toUpperCase();
  if (name.endsWith('PUSH') && key === waitingList) {
    // Put back as it came, by the worker that had not begun with it.
    const back = entries.get(rest[0] ?? '');
    if (back && back.taken > 0 && !back.isGivenUp) back.taken -= 1;
  }
  const id = jobKey.exec(key)?.[1];
  if (id === undefined) {
    const cancelled = name === 'SET' ? cancelledKey.exec(key)?.[1] : undefined;
    if (cancelled !== undefined) entries.get(cancelled)?.ends.push('cancelled');
    return;
  }
  const entry = entries.get(id) ?? { id, data: '', added: 0, taken: 0, isGivenUp: false, ends: [] };
  entries.set(id, entry);
  if (name === 'HINCRBY' && rest[0] === 'ats' && !entry.isGivenUp) entry.taken += 1;
  // Put off: it could not be started, so its program was not begun.
  if (name === 'HINCRBY' && rest[0] === 'starts') entry.taken -= 1;
  if (name !== 'HMSET' && name !== 'HSET') return;
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < rest.length; at += 2) fields.set(rest[at] as string, rest[at + 1] as string);
  const data = fields.get('data');
  if (data !== undefined) {
    entry.added += 1;
    entry.data = data;
  }
  if (fields.has('defa')) entry.isGivenUp = true;
  if (!fields.has('finishedOn')) return;
  // A job that failed has no return value: what the platform lost.
  const { status, reason } = outcomeIn(fields.get('returnvalue')) ?? {
    status: 'lost',
    reason: fields.get('failedReason'),
  };
  entry.ends.push(status);
  if (reason !== undefined) entry.reason = reason;
}

function outcomeIn(returnValue: string | undefined): { status: string; reason?: string } | undefined {
  if (returnValue === undefined) return undefined;
  return (JSON.parse(returnValue) as { outcome?: { status: string } }).outcome;
}

/** Arrays of bulk strings (the Redis protocol). The last command may be cut off. */
function* commandsOf(bytes: Buffer): Generator<string[]> {
  let at = 0;
  const line = (mark: string): number | undefined => {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const text = bytes.toString('latin1', at, end);
    if (text[0] !== mark)
      throw new Error(`cannot read the append-only file: "${text.slice(0, 20)}" at ${at}`);
    at = end + 2;
    return Number(text.slice(1));
  };
  for (;;) {
    const count = line('*');
    if (count === undefined) return;
    const command: string[] = [];
    for (let part = 0; part < count; part++) {
      const length = line('$');
      if (length === undefined || at + length + 2 > bytes.length) return;
      command.push(bytes.toString('utf8', at, at + length));
      at += length + 2;
    }
    yield command;
  }
}
