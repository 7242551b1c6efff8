/** One kind of request, and how to tell that its answer is right. */
export interface Workload {
  /** As the report calls it. */
  readonly name: string;
  readonly request: WorkloadRequest;
  /** What a right answer says about its invocation. Throws, with the reason, when the answer is wrong. */
  read(reply: Reply): ReplyFacts;
}

interface WorkloadRequest {
  /** Path and query below the platform's address. */
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** As it came, so that nothing is parsed while the load runs: the client shares the cores with what it measures. */
export interface Reply {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  body: string;
}

export interface ReplyFacts {
  start: string;
  /** By the field's name, such as `queueMs`. */
  phaseMs: Record<string, number>;
  /** What the function's initialisation took, where the platform reports it apart. */
  initMs?: number;
}

/** A request and what became of it. */
export interface Sample {
  workload: Workload;
  /** When it was sent, or was to be sent, after the load began, milliseconds. */
  atMs: number;
  /** From then until the last byte of the answer, milliseconds. */
  latencyMs: number;
  answer: { reply: Reply } | { error: string };
}

export type OnSample = (sample: Sample) => void;
