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
  file: files,
  directory: directories,
};

/** By the long name of an option that takes a value. */
export const optionSources: Readonly<Record<string, Source>> = {
  '--file': files,
  '--output': files,
  '--invoke': files,
  '--image': images,
  '--data-dir': directories,
  '--limit': { list: async () => Object.keys(limitTable).map((name) => ({ value: `${name}=` })) },
};
