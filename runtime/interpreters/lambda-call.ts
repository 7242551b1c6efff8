import type { Program } from '../../sdk/contract/program.ts';

type LambdaProgram = Extract<Program, { kind: 'lambda' }>;

/**
 * What runtime/native/runtime-api.c answers who asks for the next invocation: its id, the header lines that tell of it, and the
 * event. Each is a length, little-endian in four bytes, and then its bytes.
 */
export function encodeLambdaCall({
  context,
  eventJson,
}: Pick<LambdaProgram, 'context' | 'eventJson'>): Buffer {
  const { invocationId, deadlineMs, invokedFunctionArn, clientContext, traceparent } = context;
  const headers: Record<string, string | undefined> = {
    'Lambda-Runtime-Aws-Request-Id': invocationId,
    'Lambda-Runtime-Deadline-Ms': String(Math.round(deadlineMs)),
    'Lambda-Runtime-Invoked-Function-Arn': invokedFunctionArn ?? '',
    'Lambda-Runtime-Trace-Id': traceparent && traceHeader(traceparent),
    'Lambda-Runtime-Client-Context': clientContext,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}\r\n`],
  );
  return Buffer.concat([invocationId, lines.join(''), eventJson].map(withLength));
}

/** A W3C `traceparent` as AWS X-Ray writes it; the first eight digits of its trace id are taken for a time. */
function traceHeader(traceparent: string): string | undefined {
  const [, trace = '', parent, flags = '00'] = traceparent.split('-');
  if (trace.length !== 32) return undefined;
  const sampled = Number.parseInt(flags, 16) & 1;
  return `Root=1-${trace.slice(0, 8)}-${trace.slice(8)};Parent=${parent};Sampled=${sampled}`;
}

function withLength(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}
