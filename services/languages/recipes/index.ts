import type { Language } from '../language.ts';
import { builtIn } from './built-in.ts';
import { scripts } from './scripts.ts';

/** Every language of the catalogue, by name. */
export const languages: readonly Language[] = [...builtIn, ...scripts].sort((a, b) =>
  a.name < b.name ? -1 : 1,
);
