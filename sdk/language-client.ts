import {
  type LanguageEvent,
  type LanguageInfo,
  languageEventSchema,
  languageListSchema,
} from './contract/language.ts';
import { type CallOptions, call, type Send } from './send.ts';
import { createTask, type TaskEvents } from './task-client.ts';

export interface LanguageClient {
  languages: {
    /** Every language of the catalogue, installed or not. */
    list(options?: CallOptions): Promise<LanguageInfo[]>;
    /** Makes a language's image, where that is not there yet. Aborting ends it on the platform too, which keeps nothing. */
    install(name: string, options?: CallOptions & TaskEvents<LanguageEvent>): Promise<LanguageInfo>;
    /** Waits for the programs that run on it. */
    remove(name: string, options?: CallOptions): Promise<void>;
  };
}

export function createLanguageClient(send: Send): LanguageClient {
  const task = createTask(send, languageEventSchema);
  const path = (name: string) => `/v1/languages/${encodeURIComponent(name)}`;
  return {
    languages: {
      list: async (options) =>
        (await call(send, languageListSchema, 'GET', '/v1/languages', options)).languages,
      install: async (name, options = {}) => (await task(path(name), {}, options)).language,
      remove: async (name, options) => void (await send('DELETE', path(name), options)),
    },
  };
}
