import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import {
  languageEventSchema,
  languageListSchema,
  languageNameSchema,
  languageSchema,
} from '../../../../sdk/contract/language.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';

const language = named('Language', languageSchema);
named('LanguageEvent', languageEventSchema);
const params = z.object({ name: languageNameSchema.describe('Its name, or an alias.') });

export const languageOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/languages',
    operationId: 'listLanguages',
    summary: 'The languages there are, installed or not',
    responses: { 200: reply('By name.', json(languageListSchema)), ...errors() },
  },
  {
    method: 'post',
    path: '/v1/languages/{name}',
    operationId: 'installLanguage',
    summary: 'Makes the image of a language, from packages of Debian',
    request: { params },
    responses: {
      200: reply(
        'With `Accept: application/x-ndjson` each line is a `LanguageEvent`, and the last one says how it ended.',
        { ...json(language), 'application/x-ndjson': { schema: { type: 'string' } } },
      ),
      ...errors('language_not_found', 'build_failed', 'queue_full', 'packages_failed', 'storage_full'),
    },
  },
  {
    method: 'delete',
    path: '/v1/languages/{name}',
    operationId: 'removeLanguage',
    summary: 'Removes the image of a language, once what runs on it has ended',
    request: { params },
    responses: {
      204: { description: 'It is gone.' },
      ...errors('invalid_request', 'language_not_found', 'language_not_installed', 'image_in_use'),
    },
  },
];
