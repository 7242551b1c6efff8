import type { InvocationEvent } from '../../../sdk/contract/events.ts';
import type { Invocation } from '../../../sdk/contract/invocation.ts';
import type { LanguageInfo } from '../../../sdk/contract/language.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import { type Printed, stageEnd } from './stage-result.ts';

type Stage = 'compile' | 'run';

/** What the websocket says of a job, from its first stage on. */
export type StoryMessage =
  | { type: 'stage'; stage: Stage }
  | { type: 'data'; stream: 'stdout' | 'stderr'; data: string }
  | { type: 'exit'; stage: Stage; error?: string; code: number | null; signal: string | null };

/**
 * Makes of an invocation's events the messages of Piston's websocket. Throws where there is no end to tell of, or it ended
 * before anything was run.
 */
export async function* storyOf(
  events: AsyncIterable<InvocationEvent>,
  { compiled }: Pick<LanguageInfo, 'compiled'>,
): AsyncGenerator<StoryMessage, void, void> {
  let stage: Stage | undefined;
  for await (const event of events) {
    switch (event.type) {
      case 'started':
        // Of a language that is compiled the stages are told.
        if (compiled) break;
        stage = 'run';
        yield { type: 'stage', stage };
        break;
      case 'stage':
        if (stage === 'compile') yield { type: 'exit', stage, code: 0, signal: null };
        stage = event.stage;
        yield { type: 'stage', stage };
        break;
      case 'stdout':
      case 'stderr':
        yield { type: 'data', stream: event.type, data: event.text };
        break;
      case 'end':
        if (!stage) throw lost(`the job ended before it ran: ${whyOf(event.invocation)}`);
        yield exitOf(stage, event.invocation);
        return;
    }
  }
  throw lost('what became of the job is not known');
}

function whyOf({ outcome }: Invocation): string | undefined {
  return outcome?.status === 'lost' ? outcome.reason : outcome?.status;
}

function lost(message: string): PlatformError {
  return new PlatformError('lost', message);
}

function exitOf(stage: Stage, invocation: Invocation): StoryMessage {
  const { compile, outcome } = invocation;
  const isOfCompiler = stage === 'compile' && compile !== undefined;
  const printed: Printed = isOfCompiler ? compile : invocation;
  const { code, signal, message, status } = stageEnd(isOfCompiler ? compile.outcome : outcome, printed);
  return {
    type: 'exit',
    stage,
    ...(status === 'XX' && message !== null && { error: message }),
    code,
    signal,
  };
}
