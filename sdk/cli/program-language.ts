import { extname } from 'node:path';
import type { LanguageInfo } from '../contract/language.ts';
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

/** The language of a file by its extension, installed when it is not; undefined when the platform knows none. */
export async function languageOfFile(session: Session, path: string): Promise<string | undefined> {
  const extension = extname(path);
  if (extension === '') return undefined;
  const languages = await session.client.languages.list(session.signal);
  const language = languages.find(({ extensions }) => extensions.includes(extension));
  if (language && !language.installed) {
    session.note(`oncebox: ${language.name} ${language.version} is not installed yet`);
    await installLanguage(session, language.name);
  }
  return language?.name;
}
