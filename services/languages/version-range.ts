/**
 * Whether a version is in a range: `*`, a prefix (`1`, `1.2`, `1.x`), or comparisons as npm writes them
 * (github.com/npm/node-semver, README): `^1.2`, `~1.2`, `>=1.2 <2`, with `||` between alternatives. What is no range
 * is in none. Versions need not have three numbers: what is missing is 0.
 */
export function inRange(version: string, range: string): boolean {
  if (version === range) return true;
  return range.split('||').some((all) => {
    const parts = all
      .trim()
      .replaceAll(/(?<=[<>=~^])\s+/g, '')
      .split(/\s+/);
    return parts.every((part) => satisfies(numbersOf(version), part));
  });
}

function satisfies(version: readonly number[], part: string): boolean {
  const [, sign = '', text = ''] = /^([<>]=?|[=~^]?)v?(.*)$/.exec(part) ?? [];
  if (/^([xX*]|)$/.test(text)) return sign === '' || sign === '=' || sign === '>=';
  if (!/^\d+(\.\d+)*(\.[xX*])*$/.test(text)) return false;
  const given = text
    .split('.')
    .filter((number) => /^\d+$/.test(number))
    .map(Number);
  const order = compare(version, given);
  switch (sign) {
    case '>':
      return order > 0 && !startsWith(version, given);
    case '>=':
      return order >= 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0 || startsWith(version, given);
    case '~':
      return order >= 0 && startsWith(version, given.slice(0, 2));
    case '^': {
      // Up to the first number that is not 0: below 1.0.0 a minor version may break what stood on it.
      const first = given.findIndex((number) => number > 0);
      return order >= 0 && startsWith(version, given.slice(0, first < 0 ? given.length : first + 1));
    }
    default:
      return startsWith(version, given);
  }
}

/** Its leading numbers; what follows them, such as `-dev`, does not count. */
function numbersOf(version: string): number[] {
  return (/^\d+(\.\d+)*/.exec(version)?.[0] ?? '').split('.').map(Number);
}

function startsWith(version: readonly number[], prefix: readonly number[]): boolean {
  return prefix.every((number, index) => (version[index] ?? 0) === number);
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
