/**
 * A request that can be sent as it stands, and its reply. A test sends them all to a platform, in their order: what one
 * makes, such as an invocation's id, the later ones name as it is written here.
 */
export interface Example {
  /** In kebab-case; `operationId/name` is what `after` calls it. */
  name: string;
  /** What it shows. */
  summary: string;
  /** Those that have to have been answered before. */
  after?: readonly string[];
  /** It can be asked once the invocation in the path has this status. */
  once?: 'running' | 'done';
  /** Of an interactive run: what later examples call it. Its reply ends when those have been asked. */
  interactiveId?: string;
  /** Those can be asked once its reply has this. */
  heard?: string;
  /** Of path, query and headers. */
  parameters?: Readonly<Record<string, string>>;
  /** Sent as JSON, unless it is a text and `mediaType` says otherwise. */
  body?: unknown;
  /** Of the request's body. */
  mediaType?: string;
  /** What is sent is no text: this file. */
  upload?: 'hello.tar.gz' | 'motto.tar' | 'context.tar';
  status: number;
  /**
   * The reply's body: JSON, or text where that is its type. Absent: none, or one that is not shown. Where a list is another
   * every time it holds this at least.
   */
  reply?: unknown;
}

/** By `operationId`. */
export type Examples = Readonly<Record<string, readonly Example[]>>;
