import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { referenceFileNames } from '../../reference/files.ts';
import { errors, reply } from '../errors.ts';

export const referenceOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/',
    operationId: 'getHome',
    summary: 'To the reference',
    responses: {
      302: reply('See `/reference`.', undefined, {
        location: { schema: { type: 'string' }, required: true },
      }),
      ...errors(),
    },
  },
  {
    method: 'get',
    path: '/reference',
    operationId: 'getReference',
    summary: 'This document as a page to read and to try',
    responses: { 200: reply('A page.', { 'text/html': { schema: { type: 'string' } } }), ...errors() },
  },
  {
    method: 'get',
    path: '/reference/{file}',
    operationId: 'getReferenceFile',
    summary: 'Scripts and style of that page',
    request: { params: z.object({ file: z.enum(referenceFileNames) }) },
    responses: {
      200: reply('The file.', {
        'text/javascript': { schema: { type: 'string' } },
        'text/css': { schema: { type: 'string' } },
      }),
      ...errors('route_not_found'),
    },
  },
];
