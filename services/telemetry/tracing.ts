import type { TraceContext } from './trace-context.ts';

type SpanKind = 'server' | 'producer' | 'consumer' | 'internal';
export type Attributes = Record<string, string | number | boolean>;

interface SpanOptions {
  kind?: SpanKind;
  /** What it belongs to; a trace begins with it unless given. */
  parent?: TraceContext | undefined;
  /** Unix time, milliseconds with fractions; now unless given. */
  startMs?: number;
  attributes?: Attributes;
}

export interface Span {
  /** For what belongs below it. Undefined where nobody traces. */
  readonly context: TraceContext | undefined;
  rename(name: string): void;
  set(attributes: Attributes): void;
  /** Once; what comes later is ignored. `failed` says why it is a failure. */
  end(ending?: { atMs?: number; failed?: string }): void;
}

/** Spans of this process, on their way to a collector. */
export interface Tracing {
  start(name: string, options?: SpanOptions): Span;
  /** Sends what is left, for two seconds at most. */
  close(): Promise<void>;
}

/** Without a collector: a caller's context is handed on as it came, and nothing else is done. */
export const noTracing: Tracing = {
  start: (_, { parent } = {}) => (parent ? { ...silent, context: parent } : silent),
  async close() {},
};

const silent: Span = { context: undefined, rename() {}, set() {}, end() {} };
