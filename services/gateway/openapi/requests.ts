import { z } from 'zod';
import { filesSchema } from '../../../sdk/contract/files.ts';
import { deployRequestSchema } from '../../../sdk/contract/function.ts';
import { imageReferenceSchema } from '../../../sdk/contract/image.ts';
import type { Limits } from '../../../sdk/contract/limits.ts';
import { envSchema, fileSchema } from '../../../sdk/contract/program.ts';
import { runRequestSchema } from '../../../sdk/contract/run-request.ts';
import { named } from './named.ts';

/*
 * The requests' own schemas say in refinements which fields go together. JSON Schema has no such words, so here each way
 * of asking is an object of its own, with the very fields of the contract: what is added there shows up here.
 */

const base64 = '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$';

const host = '(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)';
const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
/** As the store reads it (runtime/image/reference.ts): the contract's own pattern is wider, and what is wider is not found. */
const reference =
  `^(?:(?:(?:${host}(?:\\.${host})+(?::[0-9]{1,5})?|${host}:[0-9]{1,5}|localhost)/)?${component}(?:/${component})*` +
  '(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[a-f0-9]{64})?|sha256:[a-f0-9]{64})$';

named('ImageReference', imageReferenceSchema, {
  description:
    '`[registry/]name[:tag][@sha256:…]`. Without a registry `localhost/name` is looked up first, then `docker.io/library/name`; the tag is `latest`. The name without tag and digest has 255 characters at most.',
  pattern: reference,
});
named('File', fileSchema, {
  description: 'With `base64` the content is base64 with padding.',
  if: { properties: { encoding: { const: 'base64' } }, required: ['encoding'] },
  // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
  then: { properties: { content: { pattern: base64 } } },
});
named('Files', filesSchema, {
  description: 'No path is given twice, and none is both a file and a directory.',
});
named('Env', envSchema, {
  description: 'POSIX names; values without NUL.',
  propertyNames: { pattern: '^[A-Za-z_][A-Za-z0-9_]*$', maxLength: 256 },
});

export function runRequest(maxima: Limits) {
  const {
    runtime,
    language,
    version,
    image,
    code,
    files,
    entry,
    entrypoint,
    workdir,
    user,
    compileLimits,
    ...common
  } = runRequestSchema(maxima).shape;
  const snippet = { runtime: runtime.unwrap(), image, ...common };
  const program = { language: language.unwrap(), version, compileLimits, ...common };
  return named(
    'RunRequest',
    z.union([
      named('RunCode', z.strictObject({ ...snippet, code: code.unwrap() })),
      named('RunFiles', z.strictObject({ ...snippet, files: files.unwrap(), entry }), {
        description: '`entry` is one of `files`.',
      }),
      named('RunLanguage', z.strictObject({ ...program, code: code.unwrap() })),
      named('RunLanguageFiles', z.strictObject({ ...program, files: files.unwrap(), entry }), {
        description: '`entry` is one of `files`.',
      }),
      named(
        'RunImage',
        z.strictObject({ image: image.unwrap(), files, entrypoint, workdir, user, ...common }),
        {
          description:
            "There is something to run: of the image's Entrypoint, its Cmd, `entrypoint` and `args`.",
        },
      ),
    ]),
  );
}

export function deployRequest(maxima: Limits) {
  const { runtime, image, handler, files, bundle, ...settings } = deployRequestSchema(maxima).shape;
  const code = { runtime: runtime.unwrap(), handler: handler.unwrap(), image, ...settings };
  const gzipInBase64 = named('Bundle', bundle.unwrap(), { pattern: `^(?=H4sI)${base64.slice(1)}` });
  const ofHandler = 'One of the files is the one that `handler` names.';
  return named(
    'DeployRequest',
    z.union([
      named('DeployFiles', z.strictObject({ ...code, files: files.unwrap() }), {
        description: `${ofHandler} No part of a path begins with \`.wh.\`.`,
      }),
      named('DeployBundle', z.strictObject({ ...code, bundle: gzipInBase64 }), {
        description: `\`bundle\` is a tar.gz in base64. ${ofHandler}`,
      }),
      named('DeployImage', z.strictObject({ image: image.unwrap() }), {
        description: "A function's version that was pushed from another platform.",
      }),
    ]),
  );
}
