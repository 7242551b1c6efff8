import { InvalidArgumentError } from 'commander';
import { type LoadRuntime, loadRuntimes } from './workloads/snippets.ts';

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `90s`, `1.5m`, `1h`; milliseconds. */
export function duration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(number) * unitMs[(unit ?? 's') as keyof typeof unitMs];
  if (!(ms >= 100 && ms <= 24 * unitMs.h)) {
    throw new InvalidArgumentError('It is a number with a unit, from 100ms to 24h, such as 10s, 5m or 1h.');
  }
  return ms;
}

export function positiveNumber(text: string): number {
  const number = Number(text);
  if (text.trim() === '' || !(number > 0 && number <= 100_000)) {
    throw new InvalidArgumentError('It is a number above 0, at most 100000.');
  }
  return number;
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (text.trim() === '' || !Number.isInteger(number) || number < min || number > max) {
      throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`);
    }
    return number;
  };
}

export function runtimeList(text: string): LoadRuntime[] {
  const names = text.split(',').map((name) => name.trim());
  const isKnown = (name: string): name is LoadRuntime => loadRuntimes.some((known) => known === name);
  if (!names.every(isKnown)) {
    throw new InvalidArgumentError(`It is one or more of ${loadRuntimes.join(', ')}, with commas.`);
  }
  return [...new Set(names)];
}

export function httpUrl(text: string): string {
  const protocol = URL.canParse(text) ? new URL(text).protocol : '';
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new InvalidArgumentError('It is an address such as http://127.0.0.1:8080.');
  }
  return text;
}
