import type { Client } from '../../client.ts';
import { limitTable } from '../../contract/limits.ts';
import type { CallOptions } from '../../send.ts';

export interface Candidate {
  value: string;
  about?: string;
}

/** What the shell itself offers. */
export type ShellOffer = 'files' | 'directories';

export interface Source {
  /** What there is, on the platform or here. */
  list?(client: Client, options: CallOptions): Promise<Candidate[]>;
  offer?: ShellOffer;
}

const functions: Source = {
  list: async (client, options) =>
    (await client.functions(options)).map(({ name, version, runtime }) => ({
      value: name,
      about: `${runtime}, version ${version}`,
    })),
};

const images: Source = {
  list: async (client, options) =>
    (await client.images(options)).flatMap(({ reference }) =>
      reference === null ? [] : [{ value: reference.replace(/^localhost\/|:latest$/g, '') }],
    ),
};

const schedules: Source = {
  list: async (client, options) =>
    (await client.schedules(options)).map((one) => ({ value: one.id, about: one.function })),
};

const keys: Source = {
  list: async (client, options) =>
    (await client.keys(options)).map(({ id, name }) => ({ value: id, about: name })),
};

const secrets: Source = {
  list: async (client, options) => (await client.secrets(options)).map(({ name }) => ({ value: name })),
};

const deadLetters: Source = {
  list: async (client, options) =>
    (await client.deadLetters({ limit: 100 }, options)).map((one) => ({
      value: one.id,
      about: `${one.function}: ${one.invocation.outcome?.status ?? ''}`,
    })),
};

const invocations: Source = {
  list: async (client, options) =>
    (await client.invocations({ limit: 100 }, options)).map((one) => ({
      value: one.id,
      about: `${one.function?.name ?? 'run'}: ${one.outcome?.status ?? one.status}`,
    })),
};

const invocationsOrFunctions: Source = {
  async list(client, options) {
    const lists = [functions, invocations].map(async (source) => source.list?.(client, options) ?? []);
    // One of the two is better than nothing.
    return (await Promise.all(lists.map((list) => list.catch(() => [])))).flat();
  },
};

const tenants: Source = {
  list: async (client, options) => (await client.tenants(options)).map(({ name }) => ({ value: name })),
};

const files: Source = { offer: 'files' };
const directories: Source = { offer: 'directories' };

/** By the name that an argument has in its command. */
export const argumentSources: Readonly<Record<string, Source>> = {
  function: functions,
  functions,
  'image|file': { ...images, ...files },
  reference: images,
  references: images,
  source: images,
  schedule: schedules,
  schedules,
  keys,
  secret: secrets,
  secrets,
  'dead-letter': deadLetters,
  'dead-letters': deadLetters,
  invocation: invocations,
  invocations,
  'invocation|function': invocationsOrFunctions,
  tenant: tenants,
  file: files,
  directory: directories,
};

/** By an option that takes a value, as its command declares it, without its short name. */
export const optionSources: Readonly<Record<string, Source>> = {
  '--file <path>': files,
  '--output <file>': files,
  '--invoke <file>': files,
  '--batch <file>': files,
  '--image <reference>': images,
  '--function <name>': functions,
  '--secret <name>': secrets,
  '--tenant <name>': tenants,
  '--data-dir <path>': directories,
  '--limit <name=value>': {
    list: async () => Object.keys(limitTable).map((name) => ({ value: `${name}=` })),
  },
};
