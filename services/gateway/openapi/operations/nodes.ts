import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { nodeListSchema, sandboxListSchema } from '../../../../sdk/contract/node.ts';
import { bytes, errors, errorsOfOpen, json, reply } from '../errors.ts';

export const nodeOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/sandboxes',
    operationId: 'listSandboxes',
    summary: 'Every sandbox there is now',
    responses: { 200: reply('Of all nodes.', json(sandboxListSchema)), ...errors() },
  },
  {
    method: 'get',
    path: '/v1/nodes',
    operationId: 'listNodes',
    summary: 'The workers that take invocations',
    responses: { 200: reply('Those that live.', json(nodeListSchema)), ...errors() },
  },
  {
    method: 'get',
    path: '/healthz',
    operationId: 'getHealth',
    security: [],
    summary: 'The gateway is up',
    responses: { 200: reply('It is.', json(z.object({ status: z.literal('ok') }))), ...errorsOfOpen() },
  },
  {
    method: 'get',
    path: '/readyz',
    operationId: 'getReadiness',
    security: [],
    summary: 'An invocation would be taken',
    responses: {
      200: reply(
        'Redis answers and a worker is there.',
        json(z.object({ status: z.literal('ready'), workers: z.number().int().min(1) })),
      ),
      ...errorsOfOpen(),
    },
  },
  {
    method: 'get',
    path: '/metrics',
    operationId: 'getMetrics',
    summary: "Figures of this gateway and of its machine's node, for Prometheus",
    responses: { 200: reply('Text format 0.0.4.', { 'text/plain': bytes }), ...errors() },
  },
  {
    method: 'get',
    path: '/openapi.json',
    operationId: 'getDocument',
    security: [],
    summary: 'This document',
    responses: {
      200: reply('OpenAPI 3.1.', json(z.looseObject({ openapi: z.string() }))),
      ...errorsOfOpen(),
    },
  },
];
