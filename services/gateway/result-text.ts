import type { Outcome } from '../../sdk/contract/outcome.ts';

/** The result as JSON, with the integers that the handler gave. */
export function resultText({ result = null, resultJson }: Extract<Outcome, { status: 'ok' }>): string {
  return resultJson ?? JSON.stringify(result);
}
