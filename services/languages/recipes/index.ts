import type { Language } from '../language.ts';
import { builtIn } from './built-in.ts';
import { compiled } from './compiled.ts';
import { gcc } from './gcc.ts';
import { machines } from './machines.ts';
import { scripts } from './scripts.ts';

/** Every language of the catalogue, by name. */
export const languages: readonly Language[] = [...builtIn, ...compiled, ...gcc, ...machines, ...scripts].sort(
  (a, b) => (a.name < b.name ? -1 : 1),
);
