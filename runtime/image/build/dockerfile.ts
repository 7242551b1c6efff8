/** What is read of a Dockerfile before the builder reads it: which images it stands on. */
export interface DockerfileOptions {
  /** Build arguments; they replace defaults of `ARG` lines before the first `FROM`. */
  args: Readonly<Record<string, string>>;
  /** Name or number of the stage to stop after; the last one unless given. */
  target?: string | undefined;
}

interface Instruction {
  keyword: string;
  rest: string;
}

/**
 * References of the images that a Dockerfile takes from elsewhere, each once, as written but with arguments expanded: of
 * `FROM`, `COPY --from` and `RUN --mount=…,from=`. Stages and `scratch` are none. Here documents are not known, as
 * they are not to the builder. Throws when there is no `FROM`, or one without an image.
 */
export function imagesOf(dockerfile: string, { args, target }: DockerfileOptions): string[] {
  const globals = new Map<string, string>();
  const images = new Set<string>();
  const stages: string[] = [];
  for (const { keyword, rest } of instructionsOf(dockerfile)) {
    if (keyword === 'ARG' && stages.length === 0) {
      for (const { name, value } of argumentsOf(rest))
        globals.set(name, args[name] ?? expand(value, globals));
    } else if (keyword === 'FROM') {
      if (stages.length > 0 && isTarget(stages)) break;
      const { image, stage } = parseFrom(rest, globals);
      if (isElsewhere(image)) images.add(image);
      stages.push(stage);
    } else if (keyword === 'COPY' || keyword === 'RUN') {
      for (const source of sourcesOf(rest)) if (isElsewhere(source)) images.add(source);
    }
  }
  if (stages.length === 0) throw new Error('there is no FROM');
  return [...images];

  function isTarget(names: readonly string[]): boolean {
    const last = names.length - 1;
    return target !== undefined && (names[last] === target.toLowerCase() || String(last) === target);
  }

  function isElsewhere(source: string): boolean {
    if (source.toLowerCase() === 'scratch' || stages.includes(source.toLowerCase())) return false;
    return !(/^\d+$/.test(source) && Number(source) < stages.length);
  }
}

/** Lines that end with the escape character go on; comments and empty lines between them do not count. */
function* instructionsOf(text: string): Generator<Instruction> {
  const escapeCharacter =
    /^(?:\s*#[^\n]*\n)*?\s*#\s*escape\s*=\s*(`|\\)\s*$/im.exec(text.slice(0, 4096))?.[1] ?? '\\';
  let pending = '';
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.endsWith(escapeCharacter)) {
      pending += `${line.slice(0, -1)} `;
      continue;
    }
    yield split(pending + line);
    pending = '';
  }
  if (pending !== '') yield split(pending);
}

function split(line: string): Instruction {
  const [, keyword = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(line.trim()) ?? [];
  return { keyword: keyword.toUpperCase(), rest };
}

/** `ARG a b=1 c="x y"`. */
function* argumentsOf(rest: string): Generator<{ name: string; value: string }> {
  for (const [, name = '', value = ''] of rest.matchAll(/([A-Za-z_]\w*)(?:=("[^"]*"|'[^']*'|\S*))?/g))
    yield { name, value: value.replace(/^(["'])(.*)\1$/, '$2') };
}

function parseFrom(rest: string, globals: ReadonlyMap<string, string>): { image: string; stage: string } {
  const words = rest.split(/\s+/).filter((word) => !word.startsWith('--'));
  const image = expand(words[0] ?? '', globals);
  if (image === '') throw new Error(`"FROM ${rest}" names no image (is an ARG without a value?)`);
  const stage = words[1]?.toUpperCase() === 'AS' ? (words[2] ?? '') : '';
  return { image, stage: stage.toLowerCase() };
}

/** `--from=` and `--mount=…,from=`; they stand before all else of the instruction. */
function* sourcesOf(rest: string): Generator<string> {
  for (const word of rest.split(/\s+/)) {
    if (!word.startsWith('--')) return;
    const source = /^--from=(.+)$/.exec(word)?.[1] ?? /^--mount=(?:.*,)?from=([^,]+)/.exec(word)?.[1];
    if (source !== undefined) yield source.replaceAll(/["']/g, '');
  }
}

/** `$name`, `${name}`, `${name:-otherwise}`, `${name:+instead}`. */
function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text
    .replace(/^(["'])(.*)\1$/, '$2')
    .replaceAll(
      /\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::([-+])([^}]*))?\})/g,
      (_all, plain, name, sign, word) => {
        const value = values.get(plain ?? name) ?? '';
        if (sign === '-') return value === '' ? word : value;
        if (sign === '+') return value === '' ? '' : word;
        return value;
      },
    );
}
