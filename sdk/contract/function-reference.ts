import { z } from 'zod';

/** Its parts: name, version, alias. */
const pattern =
  /^([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?::(?:([1-9][0-9]{0,8})|([A-Za-z][A-Za-z0-9_-]{0,127})))?$/;

/** `hello`, the current version; `hello:3`, that one; `hello:prod`, what the alias points at. */
export const functionReferenceSchema = z
  .string()
  .regex(pattern, 'must be a function\'s name, perhaps with ":" and a version\'s number or an alias');

export interface FunctionReference {
  name: string;
  version?: number;
  alias?: string;
}

/** Undefined where it is none. */
export function parseFunctionReference(text: string): FunctionReference | undefined {
  const [, name, version, alias] = pattern.exec(text) ?? [];
  if (name === undefined) return undefined;
  return { name, ...(version && { version: Number(version) }), ...(alias && { alias }) };
}
