import type { Language } from './language.ts';
import { languages } from './recipes/index.ts';
import { inRange } from './version-range.ts';

const byName = new Map(languages.flatMap((one) => [one.name, ...one.aliases].map((name) => [name, one])));

/**
 * The language of this name or alias, whatever its case, or undefined; also where its recipe's version is not in
 * `range`. Whether it is installed, and in which version, is the catalogue's to say (installed-languages.ts).
 */
export function findLanguage(nameOrAlias: string, range = '*'): Language | undefined {
  const language = byName.get(nameOrAlias.toLowerCase());
  return language && inRange(language.version, range) ? language : undefined;
}
