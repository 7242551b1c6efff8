import { InvalidArgumentError } from 'commander';
import { type Isolation, isolationSchema } from '../contract/isolation.ts';
import { limitTable } from '../contract/limits.ts';
import type { Session } from './session.ts';

/** Collects `NAME=value` options; a name alone takes the value that it has where the command was called. */
export const keyValue = ({ io }: Session) => {
  return (text: string, collected: Record<string, string> = {}): Record<string, string> => {
    const [, name = '', value] = /^([^=]+)(?:=(.*))?$/s.exec(text) ?? [];
    if (name === '') throw new InvalidArgumentError('It must look like NAME=value.');
    const given = value ?? io.env[name];
    return given === undefined ? collected : { ...collected, [name]: given };
  };
};

/** Collects `name=number` options. */
export function limit(text: string, collected: Record<string, number> = {}): Record<string, number> {
  const [, name = '', value] = /^([A-Za-z]+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (!Object.hasOwn(limitTable, name)) {
    throw new InvalidArgumentError(`It must be one of ${Object.keys(limitTable).join(', ')}, with =number.`);
  }
  return { ...collected, [name]: Number(value) };
}

/** Collects an option that is repeated. */
export function several(text: string, collected: string[] = []): string[] {
  return [...collected, text];
}

export function isolation(text: string): Isolation {
  const parsed = isolationSchema.safeParse(text);
  if (!parsed.success)
    throw new InvalidArgumentError(`It must be one of ${isolationSchema.options.join(', ')}.`);
  return parsed.data;
}

export function positiveInteger(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('It must be 1 or more.');
  return number;
}

export function nonNegativeInteger(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be 0 or more.');
  return Number(text);
}

/** Collects `version=share` options. */
export function weight(text: string, collected: Record<string, number> = {}): Record<string, number> {
  const [, version = '', share] = /^(\d+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (version === '' || Number(share) > 1)
    throw new InvalidArgumentError('It must look like VERSION=SHARE, with a share of 0 to 1.');
  return { ...collected, [version]: Number(share) };
}

export function wholeNumber(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw new InvalidArgumentError('It must be 0 or more.');
  return number;
}

/** A number of 1 to 100, as lists take it. */
export function listLimit(text: string): number {
  const number = positiveInteger(text);
  if (number > 100) throw new InvalidArgumentError('It must be 100 or less.');
  return number;
}

const unitsMs = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** A span of time such as `90s` or `12h`, in milliseconds. */
export function milliseconds(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)$/.exec(text) ?? [];
  if (unit === undefined)
    throw new InvalidArgumentError(`It must be a number with one of ${Object.keys(unitsMs).join(', ')}.`);
  return Math.round(Number(number) * unitsMs[unit as keyof typeof unitsMs]);
}

/** A time as RFC 3339 has it, or a span from now on; as RFC 3339. */
export function instant(text: string): string {
  const isTime = /^\d{4}-\d{2}-\d{2}/.test(text);
  const ms = isTime ? Date.parse(text) : Date.now() + milliseconds(text);
  if (!Number.isFinite(ms)) throw new InvalidArgumentError('It must be a time, or a span such as 90d.');
  return new Date(ms).toISOString();
}
