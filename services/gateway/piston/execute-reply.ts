import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { LanguageInfo } from '../../../sdk/contract/language.ts';
import type { EventFeed } from '../../queue/event-feed.ts';
import { type Printed, type StageResult, stageResult } from './stage-result.ts';

export interface ExecuteReply {
  run: StageResult;
  compile?: StageResult;
  language: string;
  version: string;
}

/**
 * The reply to `POST execute`. What was printed on both streams is told in its order by the invocation's events, which are
 * read only where there is an order.
 */
export async function executeReply(
  invocation: Invocation,
  { language, feed }: { language: LanguageInfo; feed: EventFeed },
): Promise<ExecuteReply> {
  const { id, compile, outcome } = invocation;
  const isMixed = [invocation, compile].some((printed) => printed?.stdout && printed.stderr);
  const told = isMixed ? await mixedOutput(feed, id) : { compile: '', run: '' };
  const result = (printed: Printed, stage: 'compile' | 'run', how: Invocation['outcome']) =>
    stageResult(how, printed, outputOf(printed, told[stage]));
  const compiled = compile && result(compile, 'compile', compile.outcome);
  return {
    // As there: clients that know no stages look at `run` alone.
    run: compiled && outcome?.status === 'compile_failed' ? compiled : result(invocation, 'run', outcome),
    ...(compiled && { compile: compiled }),
    language: language.name,
    version: invocation.language?.version ?? language.version,
  };
}

async function mixedOutput(feed: EventFeed, id: string): Promise<Record<'compile' | 'run', string>> {
  const output = { compile: '', run: '' };
  let stage: 'compile' | 'run' = 'run';
  for await (const { event } of feed.follow(id)) {
    if (event.type === 'stage') stage = event.stage;
    if (event.type === 'stdout' || event.type === 'stderr') output[stage] += event.text;
  }
  return output;
}

/** Events can be lost, where Redis has no room for them; the record has all. */
function outputOf({ stdout, stderr }: Printed, told: string): string {
  return told.length === stdout.length + stderr.length ? told : stdout + stderr;
}
