import {
  type DiskUsage,
  diskUsageSchema,
  type HistoryEntry,
  type ImageDetail,
  type ImageEvent,
  type ImageRemoval,
  type ImageSummary,
  imageDetailSchema,
  imageEventSchema,
  imageHistorySchema,
  imageListSchema,
  imageRemovalSchema,
  imageSummarySchema,
  type PruneResult,
  type PullRequest,
  type PushFunctionRequest,
  type PushRequest,
  pruneResultSchema,
} from './contract/image.ts';
import { type CallOptions, call, type Send, type SendOptions, type Upload } from './send.ts';
import { createTask, type TaskEvents } from './task-client.ts';

export interface TaskOptions extends CallOptions, TaskEvents<ImageEvent> {}

export interface BuildOptions extends TaskOptions {
  /** The name of what is built. */
  reference: string;
  /** Path in the context; `Dockerfile` unless given. */
  dockerfile?: string;
  /** The stage to build, of several. */
  target?: string;
  args?: Record<string, string>;
}

/** Aborting a task ends it on the platform too, which keeps nothing of it. */
export interface ImageClient {
  images(options?: CallOptions): Promise<ImageSummary[]>;
  inspectImage(reference: string, options?: CallOptions): Promise<ImageDetail>;
  /** Newest first. */
  imageHistory(reference: string, options?: CallOptions): Promise<HistoryEntry[]>;
  tagImage(source: string, target: string, options?: CallOptions): Promise<ImageSummary>;
  /** Rejects with `image_in_use` while sandboxes stand on it, unless `force`, which waits for those. */
  removeImage(reference: string, options?: CallOptions & { force?: boolean }): Promise<ImageRemoval>;
  pruneImages(options?: CallOptions): Promise<PruneResult>;
  imageDiskUsage(options?: CallOptions): Promise<DiskUsage>;
  pullImage(request: PullRequest, options?: TaskOptions): Promise<ImageSummary>;
  pushImage(request: PushRequest, options?: TaskOptions): Promise<ImageSummary>;
  pushFunction(name: string, request: PushFunctionRequest, options?: TaskOptions): Promise<ImageSummary>;
  /** `archive`: what `docker save` writes, or a tar of an OCI layout. */
  importImage(archive: Upload, options?: TaskOptions & { reference?: string }): Promise<ImageSummary>;
  /** `context`: a tar of the build's files, gzipped or not. */
  buildImage(context: Upload, options: BuildOptions): Promise<ImageSummary>;
}

export function createImageClient(send: Send): ImageClient {
  const path = (name: string, query: Record<string, string | undefined>) => {
    const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
    return `/v1/images${name}?${new URLSearchParams(given)}`;
  };

  const run = createTask(send, imageEventSchema);
  const task = async (url: string, request: SendOptions, options: TaskOptions) =>
    (await run(url, request, options)).image;

  return {
    images: async (options) => (await call(send, imageListSchema, 'GET', '/v1/images', options)).images,
    inspectImage: (reference, options) =>
      call(send, imageDetailSchema, 'GET', path('/inspect', { reference }), options),
    imageHistory: async (reference, options) =>
      (await call(send, imageHistorySchema, 'GET', path('/history', { reference }), options)).history,
    tagImage: (source, target, options) =>
      call(send, imageSummarySchema, 'POST', '/v1/images/tag', { ...options, json: { source, target } }),
    removeImage: (reference, { force = false, ...options } = {}) =>
      call(send, imageRemovalSchema, 'DELETE', path('', { reference, force: `${force}` }), options),
    pruneImages: (options) => call(send, pruneResultSchema, 'POST', '/v1/images/prune', options),
    imageDiskUsage: (options) => call(send, diskUsageSchema, 'GET', '/v1/images/df', options),
    pullImage: (request, options = {}) => task('/v1/images', { json: request }, options),
    pushImage: (request, options = {}) => task('/v1/images/push', { json: request }, options),
    pushFunction: (name, request, options = {}) =>
      task(`/v1/functions/${encodeURIComponent(name)}/push`, { json: request }, options),
    importImage: (archive, { reference, ...options } = {}) =>
      task(path('/import', { reference }), { upload: archive }, options),
    buildImage: (context, { reference, dockerfile, target, args = {}, ...options }) =>
      task(
        path('/build', { reference, dockerfile, target, args: JSON.stringify(args) }),
        { upload: context },
        options,
      ),
  };
}
