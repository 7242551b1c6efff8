import type { LanguageInfo } from '../../../sdk/contract/language.ts';
import { describe } from '../../languages/installed-languages.ts';
import { PlatformError } from '../../shared/platform-error.ts';
import type { GatewayDeps } from '../deps.ts';

/** Reply of `GET runtimes`: what can be run now. */
export async function listRuntimes({ languages }: Pick<GatewayDeps, 'languages'>): Promise<object[]> {
  return (await languages.list())
    .filter(({ installed }) => installed)
    .map(({ name, version, aliases, runtime }) => ({ language: name, version, aliases, runtime }));
}

/** Reply of `GET packages`: what could be, too. */
export async function listPackages({ languages }: Pick<GatewayDeps, 'languages'>): Promise<object[]> {
  return (await languages.list()).map(({ name, version, installed }) => ({
    language: name,
    language_version: version,
    installed,
  }));
}

/** The installed language of this name or alias, in a version of this range; else undefined. */
export async function findRuntime(
  { languages }: Pick<GatewayDeps, 'languages'>,
  name: string,
  range: string,
): Promise<LanguageInfo | undefined> {
  try {
    const { language, ...found } = await languages.find(name, range);
    return describe(language, found);
  } catch (error) {
    const isUnknown = error instanceof PlatformError && /^language_not_/.test(error.code);
    if (!isUnknown) throw error;
    return undefined;
  }
}
