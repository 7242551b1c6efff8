import type { Outcome } from '../../sdk/contract/outcome.ts';
import { isExact } from './exact-result.ts';
import { isTooDeep } from './result-depth.ts';

/**
 * What a program that speaks Lambda's Runtime API gave as its result, as runtime/native/runtime-api.c hands it on: `R` and the
 * body of its response, or `E`, an error's type, a space and the body that describes it; `T` likewise in base64, as it comes
 * behind a stream. A line break is U+001E and NUL U+001F in
 * there, as both mean something on the way; no JSON has those. Untrusted bytes. Undefined when it is neither.
 */
export function lambdaOutcome(bytes: Uint8Array): Outcome | undefined {
  const text = Buffer.from(bytes).toString('utf8').replaceAll('\u001e', '\n').replaceAll('\u001f', '\0');
  if (text.startsWith('R')) return succeeded(text.slice(1));
  const space = text.indexOf(' ');
  if (!/^[ET]/.test(text) || space < 0) return undefined;
  const described = text.slice(space + 1);
  const body = text.startsWith('T') ? Buffer.from(described, 'base64').toString('utf8') : described;
  return failure(text.slice(1, space), parse(body));
}

function succeeded(body: string): Outcome {
  const result = parse(body);
  const isJson = result !== body;
  return { status: 'ok', result, ...(isJson && !isExact(body) && { resultJson: body }) };
}

/** What is no JSON is a string. */
function parse(text: string): unknown {
  if (text === '') return null;
  if (isTooDeep(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** As Lambda's clients describe errors: node's say `trace`, others `stackTrace`. */
function failure(type: string, described: unknown): Outcome {
  const error = typeof described === 'object' && described !== null ? described : {};
  const { errorType, errorMessage, stackTrace, trace } = error as Record<string, unknown>;
  const lines = [stackTrace, trace].find((value) => Array.isArray(value)) ?? [];
  const text = typeof described === 'string' ? described : '';
  return {
    status: 'function_error',
    name: (typeof errorType === 'string' ? errorType : type || 'Unknown').slice(0, 256),
    message: (typeof errorMessage === 'string' ? errorMessage : text).slice(0, 65_536),
    stack: lines
      .filter((line) => typeof line === 'string')
      // Python's have their line breaks.
      .map((line) => line.replace(/\n$/, ''))
      .join('\n')
      .slice(0, 65_536),
  };
}
