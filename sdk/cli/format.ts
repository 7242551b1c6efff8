import Table from 'cli-table3';
import prettyBytes from 'pretty-bytes';

/** In powers of 1000, as Docker shows them. */
export const size = (bytes: number) => prettyBytes(bytes);

/** `sha256:` and twelve digits: enough to tell images apart, and accepted nowhere, so that nobody relies on it. */
export const shortDigest = (digest: string) => digest.replace(/^sha256:([a-f0-9]{12})[a-f0-9]*$/, '$1');

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
];

/** Such as `3 weeks ago`; `-` where nobody knows, or where a reproducible build says the epoch. */
export function ago(time: string | null, nowMs = Date.now()): string {
  const ms = time === null ? Number.NaN : Date.parse(time);
  return Number.isNaN(ms) || ms === 0 ? '-' : relative(ms, nowMs);
}

/** Such as `in 3 weeks`, or `3 weeks ago` where it has passed. */
export const until = (time: string) => relative(Date.parse(time), Date.now());

function relative(ms: number, nowMs: number): string {
  const seconds = (ms - nowMs) / 1000;
  const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  return new Intl.RelativeTimeFormat('en', { numeric: 'always' }).format(Math.trunc(seconds / length), unit);
}

const noLines = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid']
    .flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`])
    .map((name) => [name, '']),
);

/** Columns under a heading, without lines, so that `awk` can read them too. */
export function table(head: string[], rows: string[][]): string {
  const columns = new Table({
    chars: { ...noLines, middle: '   ' },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  columns.push(head, ...rows);
  return columns
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
