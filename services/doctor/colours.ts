import { styleText } from 'node:util';
import type { Io } from '../../sdk/cli/session.ts';

export type Colour = 'green' | 'yellow' | 'red' | 'bold' | 'dim';

export type Colours = (colour: Colour, text: string) => string;

/** Colours a text on a terminal that wants it (no-color.org), and leaves it alone elsewhere. */
export function colours({ stdout, env }: Io): Colours {
  const wanted = (stdout as { isTTY?: boolean }).isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  return wanted ? styleText : (_, text) => text;
}
