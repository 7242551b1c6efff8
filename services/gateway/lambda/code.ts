import { createHash } from 'node:crypto';
import type { CodeFile } from '../../registry/code-layer.ts';
import { unpackZip } from '../../registry/zip.ts';
import { unpackedFactor } from '../routes/functions.ts';
import { labels } from './configuration.ts';
import { invalidParameter } from './errors.ts';

/** The files of an archive, and what Lambda says of it. Throws InvalidParameterValueException that says what is wrong with it. */
export async function codeOf(
  zipBase64: string,
  bodyMaxBytes: number,
): Promise<{ files: CodeFile[]; labels: Record<string, string> }> {
  const zip = Buffer.from(zipBase64, 'base64');
  try {
    return {
      files: await unpackZip(zip, bodyMaxBytes * unpackedFactor),
      labels: {
        [labels.codeSha256]: createHash('sha256').update(zip).digest('base64'),
        [labels.codeSize]: String(zip.length),
      },
    };
  } catch (error) {
    throw invalidParameter(`Could not unzip uploaded file: ${(error as Error).message}`);
  }
}
