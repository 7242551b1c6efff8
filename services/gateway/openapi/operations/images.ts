import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import type { ErrorCode } from '../../../../sdk/contract/error.ts';
import {
  buildQuerySchema,
  diskUsageSchema,
  imageDetailSchema,
  imageHistorySchema,
  imageListSchema,
  imageRemovalSchema,
  importQuerySchema,
  pruneResultSchema,
  pullRequestSchema,
  pushRequestSchema,
  referenceQuerySchema,
  removeQuerySchema,
  tagRequestSchema,
} from '../../../../sdk/contract/image.ts';
import { bytes, errors, json, reply } from '../errors.ts';
import { imageReply, imageSummary } from './image-reply.ts';

/** An image comes in: what can be wrong with it, or with where it comes from. */
const incoming: ErrorCode[] = ['invalid_request', 'image_in_use', 'invalid_image', 'storage_full'];
const archive = { 'application/x-tar': bytes, 'application/gzip': bytes };
const { args: _, ...buildQuery } = buildQuerySchema.shape;

export const imageOperations: RouteConfig[] = [
  {
    method: 'get',
    path: '/v1/images',
    operationId: 'listImages',
    summary: "The node's images",
    responses: { 200: reply('One item for each name.', json(imageListSchema)), ...errors() },
  },
  {
    method: 'post',
    path: '/v1/images',
    operationId: 'pullImage',
    summary: 'Pulls an image from a registry',
    request: {
      body: { required: true, content: json(pullRequestSchema, { reference: 'alpine:3.20' }) },
    },
    responses: {
      200: imageReply,
      ...errors(...incoming, 'image_not_found', 'body_too_large', 'registry_failed'),
    },
  },
  {
    method: 'delete',
    path: '/v1/images',
    operationId: 'removeImage',
    summary: 'Takes a name away; with the last one, or by digest, the image',
    request: { query: removeQuerySchema },
    responses: {
      200: reply('What is gone.', json(imageRemovalSchema)),
      ...errors('invalid_request', 'image_not_found', 'image_in_use'),
    },
  },
  {
    method: 'get',
    path: '/v1/images/inspect',
    operationId: 'inspectImage',
    summary: 'All of an image: configuration, layers, manifest',
    request: { query: referenceQuerySchema },
    responses: {
      200: reply('The image.', json(imageDetailSchema)),
      ...errors('invalid_request', 'image_not_found', 'invalid_image'),
    },
  },
  {
    method: 'get',
    path: '/v1/images/history',
    operationId: 'getImageHistory',
    summary: "An image's steps, newest first",
    request: { query: referenceQuerySchema },
    responses: {
      200: reply('As `docker history` has it.', json(imageHistorySchema)),
      ...errors('invalid_request', 'image_not_found', 'invalid_image'),
    },
  },
  {
    method: 'get',
    path: '/v1/images/df',
    operationId: 'getDiskUsage',
    summary: 'What images take of the disk',
    responses: { 200: reply('Bytes, and how many could be freed.', json(diskUsageSchema)), ...errors() },
  },
  {
    method: 'post',
    path: '/v1/images/prune',
    operationId: 'pruneImages',
    summary: 'Frees what no image needs',
    responses: { 200: reply('What was freed.', json(pruneResultSchema)), ...errors('image_in_use') },
  },
  {
    method: 'post',
    path: '/v1/images/tag',
    operationId: 'tagImage',
    summary: 'Gives an image another name',
    request: {
      body: {
        required: true,
        content: json(tagRequestSchema, { source: 'node', target: 'registry.example.com/node:mine' }),
      },
    },
    responses: {
      201: reply('The image under its new name.', json(imageSummary)),
      ...errors('invalid_request', 'image_not_found', 'image_in_use', 'body_too_large'),
    },
  },
  {
    method: 'post',
    path: '/v1/images/push',
    operationId: 'pushImage',
    summary: 'Pushes an image to a registry',
    request: {
      body: {
        required: true,
        content: json(pushRequestSchema, { source: 'node', target: 'registry.example.com/node:mine' }),
      },
    },
    responses: {
      200: imageReply,
      ...errors(...incoming, 'image_not_found', 'body_too_large', 'registry_failed'),
    },
  },
  {
    method: 'post',
    path: '/v1/images/import',
    operationId: 'importImage',
    summary: 'Adds an image from an archive: of `docker save`, or a tar of an OCI layout',
    request: { query: importQuerySchema, body: { required: true, content: archive } },
    responses: { 200: imageReply, ...errors(...incoming, 'body_too_large') },
  },
  {
    method: 'post',
    path: '/v1/images/build',
    operationId: 'buildImage',
    summary: 'Builds the Dockerfile of a context, a tar',
    request: {
      query: z.strictObject({
        ...buildQuery,
        args: z.string().default('{}').describe('Build arguments: a JSON object of strings.'),
      }),
      body: { required: true, content: archive },
    },
    responses: {
      200: imageReply,
      ...errors(...incoming, 'image_not_found', 'body_too_large', 'build_failed', 'queue_full'),
    },
  },
];
