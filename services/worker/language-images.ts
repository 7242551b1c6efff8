import { withLabels } from '../../runtime/image/packages/compose.ts';
import { makePackageImage } from '../../runtime/image/packages/package-image.ts';
import { SharedTasks } from '../../runtime/image/shared-task.ts';
import type { ImageTask, Store } from '../../runtime/image/store.ts';
import { StoreError } from '../../runtime/image/store-error.ts';
import type { LanguageInfo } from '../../sdk/contract/language.ts';
import { findLanguage } from '../languages/find-language.ts';
import { describe, imageOf, isBuiltIn, languageNotFound } from '../languages/installed-languages.ts';
import { type Language, languageImage, versionLabel } from '../languages/language.ts';
import { PlatformError } from '../shared/platform-error.ts';
import { atMost } from './at-most.ts';
import type { NodeImages } from './node-images.ts';
import { type LanguageTester, testLanguage } from './test-language.ts';

/** What is being made, under names that nobody else gives: removed when it is done, or when the worker starts again. */
const unfinished = 'localhost/language-unfinished/';
/** Each takes two cores and 2 GiB while its set-up runs. */
const installsMax = 2;

export interface LanguageImages {
  /**
   * Makes the image of a language unless it is there. Equal calls at one time are one; when the last caller has left, it
   * ends and leaves nothing. Throws PlatformError `language_not_found`, `queue_full`; StoreError `packages_failed`, `build_failed`,
   * `storage_full`.
   */
  install(nameOrAlias: string, task: ImageTask): Promise<LanguageInfo>;
  /** Waits for what runs on it. Throws PlatformError `language_not_found`, `language_not_installed`, `invalid_request`. */
  remove(nameOrAlias: string): Promise<void>;
  /** Removes what a killed worker has left unfinished. */
  sweep(): Promise<void>;
}

export function createLanguageImages(
  options: LanguageTester & {
    store: Store;
    images: Pick<NodeImages, 'resolve'>;
    launcherSocket: string;
    /** sources.list lines in the place of the machine's own. */
    sources?: readonly string[] | undefined;
  },
): LanguageImages {
  const { store, images, launcherSocket, sources } = options;
  const tasks = new SharedTasks<LanguageInfo>();

  async function installed(language: Language): Promise<LanguageInfo | undefined> {
    const reference = imageOf(language);
    const image = await images.resolve(reference).catch((error) => {
      if (error instanceof StoreError && error.code === 'image_not_found') return undefined;
      throw error;
    });
    if (!image) return undefined;
    const version = image.config.Labels?.[versionLabel] ?? language.version;
    return describe(language, { version, image: { reference, digest: image.digest } });
  }

  const make = atMost(installsMax, 'install a language', async (language: Language, task: ImageTask) => {
    const name = `${unfinished}${imageName(language)}`;
    try {
      const candidate = await makePackageImage({
        store,
        launcherSocket,
        sources,
        base: imageOf({ ...language, packages: [] }),
        packages: language.packages,
        setup: language.setup ?? [],
        name,
        ...task,
      });
      task.onEvent({ type: 'step', step: 'test', subject: language.name });
      const image = await images.resolve(candidate.digest);
      const version = await testLanguage(language, image, options, task.signal);
      await store.addImage({
        ...withLabels(candidate, { [versionLabel]: version }),
        blobs: new Map(),
        reference: languageImage(language),
      });
    } finally {
      await removeUnfinished(`${name}:`);
    }
  });

  async function removeUnfinished(prefix: string): Promise<void> {
    const names = (await store.list()).flatMap(({ reference }) => reference ?? []);
    for (const name of names.filter((one) => one.startsWith(prefix)))
      await store.remove(name, { force: true });
  }

  return {
    install: (nameOrAlias, task) => {
      const language = languageOf(nameOrAlias);
      return tasks.run(language.name, task, async (shared) => {
        const there = await installed(language);
        if (there) return there;
        await make(language, shared);
        const made = await installed(language);
        if (!made) throw new Error(`${language.name} went while it was being made`);
        return made;
      });
    },

    async remove(nameOrAlias) {
      const language = languageOf(nameOrAlias);
      const { name } = language;
      if (isBuiltIn(language)) {
        throw new PlatformError(
          'image_in_use',
          `cannot remove ${name}: it runs on an image of the platform`,
          {
            field: 'name',
          },
        );
      }
      if (!(await installed(language))) {
        throw new PlatformError('language_not_installed', `cannot remove ${name}: it is not installed`, {
          field: 'name',
        });
      }
      await store.remove(languageImage(language), { force: true });
    },

    sweep: () => removeUnfinished(unfinished),
  };
}

function languageOf(nameOrAlias: string): Language {
  const language = findLanguage(nameOrAlias);
  if (!language) throw languageNotFound(nameOrAlias);
  return language;
}

function imageName(language: Language): string {
  return languageImage(language).replace(/^.*\/(.*):.*$/, '$1');
}
