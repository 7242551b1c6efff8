import prettyBytes from 'pretty-bytes';
import type { Ratio } from './schema.ts';

/** What stands in place of a figure that could not be measured. */
export const absent = '–';

/** Three significant digits and a unit that suits: `0.17 ms`, `309 ms`, `12.3 s`. */
export function milliseconds(value: number): string {
  if (!Number.isFinite(value)) return absent;
  if (Math.abs(value) >= 10_000) return `${digits(value / 1000)} s`;
  // With its last zeros, so that columns of it are as wide as they are exact.
  return `${value > 0 && value < 100 ? value.toPrecision(3) : digits(value)} ms`;
}

/** In binary units: `1.41 MiB`. */
export function bytes(value: number): string {
  return Number.isFinite(value) ? prettyBytes(value, { binary: true }) : absent;
}

export function perSecond(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? absent : `${digits(value)}/s`;
}

/** `× 1.52` */
export function times(value: number): string {
  return Number.isFinite(value) ? `× ${digits(value)}` : absent;
}

/** What a value was to be: `≤ 3`. */
export function targetOf({ target }: Ratio): string {
  return target ? `${target.op === '<=' ? '≤' : '≥'} ${digits(target.value)}` : '';
}

/** A change with its sign: `+12 %`. */
export function change(value: number): string {
  if (!Number.isFinite(value)) return absent;
  const percent = Math.abs(value * 100);
  const text = percent < 10 ? percent.toFixed(1) : percent.toFixed(0);
  if (Number(text) === 0) return '0 %';
  return `${value > 0 ? '+' : '−'}${text} %`;
}

/** Three significant digits, thousands apart. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return absent;
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return `${Number(value.toPrecision(3))}`;
}

/** `fork 12, warm 3,988` */
export function countsOf(counts: Record<string, number>): string {
  return Object.entries(counts)
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, count]) => `${name} ${count.toLocaleString('en-US')}`)
    .join(', ');
}

/** An RFC 3339 time as people write it, to the minute. */
export function moment(at: string): string {
  return at.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*Z$/, '$1 $2 UTC');
}

/** A duration of a load, for people: `15 s`, `62 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return absent;
  return seconds >= 600 ? `${digits(seconds / 60)} min` : `${digits(seconds)} s`;
}
