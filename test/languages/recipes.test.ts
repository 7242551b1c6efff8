import { describe, expect, test } from 'vitest';
import { imageReferenceSchema } from '../../sdk/contract/image.ts';
import { languageNameSchema, languageSchema } from '../../sdk/contract/language.ts';
import { limitsInput } from '../../sdk/contract/limits.ts';
import { findLanguage } from '../../services/languages/find-language.ts';
import { createLanguageCatalogue, describe as infoOf } from '../../services/languages/installed-languages.ts';
import { commandOf, languageImage, versionLabel } from '../../services/languages/language.ts';
import { languages } from '../../services/languages/recipes/index.ts';
import { inRange } from '../../services/languages/version-range.ts';
import type { CataloguedImage } from '../../services/queue/image-catalogue.ts';
import { PlatformError } from '../../services/shared/platform-error.ts';
import { versionIn } from '../../services/worker/test-language.ts';
import { tableOf } from '../docs/markdown.ts';
import { faults } from './faults.ts';

test('no name, alias or extension of a language is that of another', () => {
  const names = languages.flatMap(({ name, aliases }) => [name, ...aliases]);
  const extensions = languages.flatMap((one) => one.extensions);
  for (const list of [names, extensions])
    expect(list.filter((one, at) => list.indexOf(one) !== at)).toEqual([]);
});

test.each(languages.map((one) => [one.name, one] as const))('the recipe of %s is whole', (_, language) => {
  languageSchema.parse(infoOf(language, undefined));
  for (const name of [language.name, ...language.aliases]) {
    languageNameSchema.parse(name);
    expect(findLanguage(name)).toBe(language);
  }
  imageReferenceSchema.parse(languageImage(language));
  for (const limits of Object.values(language.limits ?? {})) limitsInput().parse(limits);
  expect(language.extensions).toContain(language.fileName.replace(/^[^.]*/, ''));
  expect(Object.keys(language.test.files)[0]).toBe(language.fileName);
  // Its test is kept to what it reads.
  expect(language.test.stdin).not.toBe('');
  expect(language.run.concat(language.compile ?? []).join(' ')).toMatch(/\{(entry|files|stem)\}/);
});

test('every language has programs that fail', () => {
  expect(Object.keys(faults).sort()).toEqual(languages.map(({ name }) => name).sort());
});

test("the documentation's table is the catalogue", () => {
  const rows = tableOf('docs/languages.md', 'Language').map(([name, version, files, aliases, kind]) => [
    name,
    version,
    files,
    aliases,
    kind,
  ]);
  const kindOf = (compile: unknown, packages: readonly string[]) =>
    compile ? 'compiled' : packages.length === 0 ? 'always there' : 'interpreted';
  expect(rows).toEqual(
    languages.map((one) => [
      one.name,
      one.version,
      one.extensions.join(' '),
      one.aliases.join(' '),
      kindOf(one.compile, one.packages),
    ]),
  );
});

test('the placeholders of a command stand for the program', () => {
  const of = { entry: 'src/main.c', files: ['a.h', 'src/main.c', 'b.c'], extensions: ['.c'] };
  expect(commandOf(['cc', '-o', '{stem}', '{files}', '-D{entry}'], of)).toEqual([
    ...['cc', '-o', 'main', 'src/main.c', 'b.c', '-Dsrc/main.c'],
  ]);
});

test.each([
  ['1.19.8', '*', true],
  ['1.19.8', '1.x', true],
  ['1.19.8', '1', true],
  ['1.19.8', '1.19.8', true],
  ['1.19.8', '1.2', false],
  ['1.19.8', '^1.2.0', true],
  ['1.19.8', '~1.18', false],
  ['1.19.8', '>=1.18 <2', true],
  ['1.19.8', '>1.19', false],
  ['1.19.8', '<1.19 || 1.19.x', true],
  ['0.7.3', '^0.6', false],
  ['25', '>= 24', true],
  ['4.0-early-dev.0', '4.0-early-dev.0', true],
  ['1.19.8', 'latest', false],
])('%s is in the range %s: %s', (version, range, expected) => {
  expect(inRange(version, range)).toBe(expected);
});

test('a version is found in what a program says', () => {
  expect(versionIn('REXX-Regina_3.6(MT) 5.00 31 Dec 2011', '3.6')).toBe('3.6');
  expect(versionIn('openjdk version "17.0.22"', '17.0.21')).toBe('17.0.22');
  expect(versionIn('cobc (GnuCOBOL) 4.0-early-dev.0', '4.0-early-dev.0')).toBe('4.0-early-dev.0');
  expect(versionIn('not found', '1.0')).toBeUndefined();
});

describe('the catalogue of languages', () => {
  const images: Record<string, string> = {};
  const catalogue = createLanguageCatalogue({
    async resolve(reference) {
      const version = images[reference];
      if (version === undefined) throw new PlatformError('image_not_found', reference);
      return {
        reference,
        digest: 'sha256:1',
        config: { Labels: { [versionLabel]: version } },
      } as unknown as CataloguedImage;
    },
  });
  const lua = findLanguage('lua');

  test('knows a language that is not installed, and says how it would be', async () => {
    await expect(catalogue.find('lua')).rejects.toMatchObject({ code: 'language_not_installed' });
    expect((await catalogue.list()).find(({ name }) => name === 'lua')).toMatchObject({ installed: false });
  });

  test('says the version that the image has, whatever the recipe was', async () => {
    images[lua ? languageImage(lua) : ''] = '5.4.99';
    await expect(catalogue.find('LUA', '5.4.x')).resolves.toMatchObject({ version: '5.4.99' });
    await expect(catalogue.find('lua', '5.4.4')).rejects.toMatchObject({ code: 'language_not_found' });
    expect((await catalogue.list()).find(({ name }) => name === 'lua')).toMatchObject({
      installed: true,
      version: '5.4.99',
    });
  });

  test('does not know what is none', async () => {
    await expect(catalogue.find('klingon')).rejects.toMatchObject({ code: 'language_not_found' });
  });
});
