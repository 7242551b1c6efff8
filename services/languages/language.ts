import type { Limits } from '../../sdk/contract/limits.ts';
import type { RuntimeName } from '../../sdk/contract/runtime-name.ts';

/**
 * A language of the catalogue: which Debian packages it is made of, and how a program is compiled and run in it. Data
 * only; the commands run in sandboxes, with the program's files in the working directory.
 *
 * In `compile` and `run` these stand for the program: `{entry}` is the path of its first file, `{stem}` the same without
 * directory and extension, and an argument that is `{files}` becomes all files with one of the language's extensions, the
 * entry first. The program's own arguments are added to the end of `run`.
 */
export interface Language {
  name: string;
  /** What the program says of itself where `versionCommand` runs it; Debian's stable release changes it seldom. */
  version: string;
  aliases: readonly string[];
  /** Of source files, with the dot, the usual one first. */
  extensions: readonly string[];
  /** What a program without a name is stored as. */
  fileName: string;
  /** What runs it, where that is not the language itself. */
  runtime?: string;
  /** The base image that it runs on, or that its packages lie on. */
  base: RuntimeName;
  /** Of Debian; what they need comes along. None: it runs on the base image as that is. */
  packages: readonly string[];
  /**
   * Commands of a shell, as root in the image, once, where the packages lie but none of their scripts has run: what those
   * would have set up is done here.
   */
  setup?: readonly string[];
  /** Absent: it is interpreted. */
  compile?: readonly string[];
  run: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** In the place of the platform's defaults: a compiler needs more than most programs, and some runtimes do. */
  limits?: { compile?: Readonly<Partial<Limits>>; run?: Readonly<Partial<Limits>> };
  /** Prints its version. */
  versionCommand: readonly string[];
  /** An image is kept only if this program prints what it should. */
  test: LanguageTest;
}

interface LanguageTest {
  /** The text of each by its path; the first is the entry. */
  files: Readonly<Record<string, string>>;
  stdin: string;
  stdout: string;
}

/** The name of the image that a language is installed as. */
export function languageImage({ name, version }: Pick<Language, 'name' | 'version'>): string {
  return `localhost/language/${name.replaceAll('+', 'p').replaceAll('#', 'sharp')}:${version}`;
}

/** The program's own arguments, such as `args` of a request, come at the end of what is run. */
export function commandOf(
  argv: readonly string[],
  { entry, files, extensions }: { entry: string; files: readonly string[]; extensions: readonly string[] },
): string[] {
  const base = entry.slice(entry.lastIndexOf('/') + 1);
  const stem = base.replace(/(?<=.)\.[^.]*$/, '');
  const sources = [
    entry,
    ...files.filter((file) => file !== entry && extensions.some((one) => file.endsWith(one))),
  ];
  return argv.flatMap((argument) =>
    argument === '{files}' ? sources : [argument.replaceAll('{entry}', entry).replaceAll('{stem}', stem)],
  );
}

/** Of the image: what the program has said of itself. */
export const versionLabel = 'dev.oncebox.language-version';
