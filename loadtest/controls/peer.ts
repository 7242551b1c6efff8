import type { Commands } from './commands.ts';

/**
 * Another way to run a program in a container made for it, measured beside us. What it makes, it makes in `directory`
 * or under a name of its own, and `undo` takes all of it away.
 */
export interface Peer {
  /** As the report has it: 'docker run --rm', 'runc' … */
  readonly name: string;
  /** Looks only, makes nothing. Never rejects. */
  probe(): Promise<Presence>;
  /** What is done once, before the first container. Not timed. Rejects with the reason why it cannot be. */
  prepare(): Promise<void>;
  /** One fresh container, from nothing to gone; resolves with what the program wrote to stdout. May run many at once. */
  once(): Promise<string>;
  /** Called when no `prepare` and no `once` is under way; removes what they made or left half-made. Idempotent. */
  undo(): Promise<void>;
}

export type Presence =
  | { available: true; version: string }
  /** The reason says what to install. */
  | { available: false; version: string | null; reason: string };

export interface PeerOptions {
  commands: Commands;
  image: ImageSource;
  program: PeerProgram;
  /** The peer's own, there already, and removed by who made it. */
  directory: string;
}

/** Where the layers of the image are that the program runs on. */
export interface ImageSource {
  layersDir: string;
  /** Uppermost first. Rejects where there is no such image. */
  layers(): Promise<readonly string[]>;
}

export interface PeerProgram {
  /** The first is looked up on PATH, in the image or, for a plain child, on the host. */
  argv: readonly string[];
  /** All that it finds in its environment. */
  env: Record<string, string>;
  /** All that it is to write. */
  stdout: string;
}
