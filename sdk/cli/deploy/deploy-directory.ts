import type { DeployedFunction, DeployRequest } from '../../contract/function.ts';
import type { Isolation } from '../../contract/isolation.ts';
import type { Session } from '../session.ts';
import { functionFiles, packFunction } from './bundle.ts';
import { inferFunction } from './infer.ts';
import { readSettingsFile } from './settings-file.ts';
import { withUploadProgress } from './upload-progress.ts';

/** What the command line says; it goes before what the directory's `oncebox.json` says. */
export interface DeployOptions {
  name?: string;
  runtime?: 'node' | 'python';
  handler?: string;
  image?: string;
  env?: Record<string, string>;
  limit?: Record<string, number>;
  zygote?: boolean;
  isolation?: Isolation;
  secret?: string[];
}

export interface Preparation {
  name: string;
  request: DeployRequest;
  fileCount: number;
  /** Of what is uploaded. */
  bundleBytes: number;
}

/** Packs a directory, and finds out what it is deployed as. */
export async function prepareDeployment(directory: string, options: DeployOptions): Promise<Preparation> {
  const settings = await readSettingsFile(directory);
  const files = await functionFiles(directory);
  const { name, runtime, handler } = await inferFunction(directory, files, {
    runtime: options.runtime ?? settings.runtime,
    handler: options.handler ?? settings.handler,
    name: options.name ?? settings.name,
  });
  const bundle = await packFunction(directory, files);
  const image = options.image ?? settings.image;
  const isolation = options.isolation ?? settings.isolation;
  const secrets = [...new Set([...(settings.secrets ?? []), ...(options.secret ?? [])])];
  // `--no-zygote` is the only way to say it: without it the option is true.
  const zygote = options.zygote === false ? false : settings.zygote;
  const request: DeployRequest = {
    runtime,
    handler,
    bundle: bundle.toString('base64'),
    env: { ...settings.env, ...options.env },
    limits: { ...settings.limits, ...options.limit },
    ...(image !== undefined && { image }),
    ...(isolation !== undefined && { isolation }),
    ...(zygote !== undefined && { zygote }),
    ...(secrets.length > 0 && { secrets }),
  };
  return { name, request, fileCount: files.length, bundleBytes: bundle.length };
}

/** Uploads it as the function's next version. */
export async function sendDeployment(
  session: Session,
  { name, request }: Pick<Preparation, 'name' | 'request'>,
): Promise<DeployedFunction> {
  return withUploadProgress(session, name, (fetch) =>
    session.connect({ fetch }).deploy(name, request, session.signal),
  );
}
