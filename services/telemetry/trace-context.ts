import { z } from 'zod';

/** W3C Trace Context: where in which trace something belongs. It travels in headers, jobs and programs' environment. */
export const traceContextSchema = z.object({
  traceparent: z.string().regex(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/),
  tracestate: z.string().max(512).optional(),
});
export type TraceContext = z.infer<typeof traceContextSchema>;

/** Undefined where the headers say nothing that is valid: a trace then begins here, as the standard has it. */
export function readTraceContext(
  traceparent: string | undefined,
  tracestate: string | undefined,
): TraceContext | undefined {
  // A later version may have more behind the flags; what comes before means the same.
  const known = traceparent?.replace(
    /^(?!00|ff)[0-9a-f]{2}(-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})(-.*)?$/,
    '00$1',
  );
  const parsed = traceContextSchema.safeParse({
    traceparent: known,
    ...(tracestate && tracestate.length <= 512 && { tracestate }),
  });
  return parsed.data;
}

export function traceIdOf({ traceparent }: TraceContext): string {
  return traceparent.slice(3, 35);
}
