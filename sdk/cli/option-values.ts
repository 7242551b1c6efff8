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
