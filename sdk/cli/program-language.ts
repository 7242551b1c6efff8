import { extname } from 'node:path';
import type { LanguageInfo } from '../contract/language.ts';
import { CliError } from './cli-error.ts';
import { showProgress } from './progress.ts';
import type { Session } from './session.ts';

/** Makes a language's image unless it is there, with its progress shown. */
export async function installLanguage(session: Session, name: string): Promise<LanguageInfo> {
  const progress = showProgress(session.io);
  let isDone = false;
  try {
    const onEvent = progress.onEvent;
    const language = await session.client.languages.install(name, { onEvent, ...session.signal });
    isDone = true;
    return language;
  } finally {
    progress.end(isDone);
  }
}

/**
 * The language of a file, installed when it is not: the one that is given, by name or alias, or that of its extension. Undefined when
 * the platform knows none of that extension.
 */
export async function languageOfFile(
  session: Session,
  path: string,
  given?: string,
): Promise<LanguageInfo | undefined> {
  const extension = extname(path);
  if (given === undefined && extension === '') return undefined;
  const languages = await session.client.languages.list(session.signal);
  const language =
    given === undefined
      ? languages.find(({ extensions }) => extensions.includes(extension))
      : languages.find(({ name, aliases }) => name === given || aliases.includes(given));
  if (given !== undefined && !language)
    throw new CliError(`cannot run with "${given}": "oncebox languages" lists those that there are`, 125);
  if (language && !language.installed) {
    session.note(`oncebox: ${language.name} ${language.version} is not installed yet`);
    await installLanguage(session, language.name);
  }
  return language;
}
