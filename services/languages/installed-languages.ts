import type { LanguageInfo } from '../../sdk/contract/language.ts';
import type { CataloguedImage, ImageCatalogue } from '../queue/image-catalogue.ts';
import { PlatformError } from '../shared/platform-error.ts';
import { findLanguage } from './find-language.ts';
import { type Language, languageImage, versionLabel } from './language.ts';
import { languages } from './recipes/index.ts';
import { inRange } from './version-range.ts';

/** A language that can be run now. */
interface InstalledLanguage {
  language: Language;
  /** As its program says; the recipe's may be of another day. */
  version: string;
  image: CataloguedImage;
}

export interface LanguageCatalogue {
  /** Every language, installed or not, by name. */
  list(): Promise<LanguageInfo[]>;
  /**
   * Throws PlatformError `language_not_found`; `language_not_installed` where the recipe's version would do; and
   * `unavailable` when no node has said what it has.
   */
  find(nameOrAlias: string, range?: string): Promise<InstalledLanguage>;
}

/** Which languages the nodes have, by the images that they announce. */
export function createLanguageCatalogue(images: Pick<ImageCatalogue, 'resolve'>): LanguageCatalogue {
  async function installed(language: Language): Promise<InstalledLanguage | undefined> {
    try {
      const image = await images.resolve(imageOf(language));
      return { language, version: image.config.Labels?.[versionLabel] ?? language.version, image };
    } catch (error) {
      if (error instanceof PlatformError && error.code === 'image_not_found') return undefined;
      throw error;
    }
  }

  return {
    list: () => Promise.all(languages.map(async (language) => describe(language, await installed(language)))),

    async find(nameOrAlias, range = '*') {
      const language = findLanguage(nameOrAlias);
      const found = language && (await installed(language));
      if (found && inRange(found.version, range)) return found;
      if (!language || found || !inRange(language.version, range)) throw languageNotFound(nameOrAlias, range);
      throw new PlatformError(
        'language_not_installed',
        `${language.name} ${language.version} is not installed: "oncebox languages install ${language.name}", or ` +
          `POST /v1/languages/${encodeURIComponent(language.name)}`,
        { field: 'language' },
      );
    },
  };
}

/** Built-in ones run on the images of set-up. */
export function imageOf(language: Language): string {
  return isBuiltIn(language) ? `localhost/${language.base}:latest` : languageImage(language);
}

export function isBuiltIn({ packages }: Language): boolean {
  return packages.length === 0;
}

export function describe(
  language: Language,
  found: { version: string; image: { reference: string; digest: string } } | undefined,
): LanguageInfo {
  const { name, aliases, extensions, runtime, fileName, compile } = language;
  return {
    name,
    version: found?.version ?? language.version,
    aliases: [...aliases],
    extensions: [...extensions],
    ...(runtime !== undefined && { runtime }),
    fileName,
    compiled: compile !== undefined,
    installed: found !== undefined,
    builtIn: isBuiltIn(language),
    ...(found && { image: { reference: found.image.reference, digest: found.image.digest } }),
  };
}

export function languageNotFound(name: string, range = '*'): PlatformError {
  const which = range === '*' ? `"${name}"` : `"${name}" in a version "${range}"`;
  return new PlatformError(
    'language_not_found',
    `there is no language ${which}: GET /v1/languages lists them`,
    {
      field: 'language',
    },
  );
}
