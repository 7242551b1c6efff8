import type { Context } from 'hono';
import type { FunctionVersion } from '../../../sdk/contract/function.ts';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { configurationOf, labels, revisionOfVersion } from './configuration.ts';
import { invalidParameter } from './errors.ts';
import { targetOf, versionAt } from './function-name.ts';
import { requireRevision, versionsOf } from './functions.ts';
import { pageOf } from './paging.ts';
import { readRequest } from './read.ts';
import { publishVersionSchema } from './requests.ts';

/** PublishVersion and ListVersionsByFunction. */
export function versionOperations({ config, registry }: GatewayDeps) {
  const bounds = { defaults: config.ONCEBOX_DEFAULT_LIMITS, maxima: config.ONCEBOX_MAX_LIMITS };
  const shown = (c: Context, name: string, version: FunctionVersion, qualifier?: string) =>
    configurationOf(c, name, version, { qualifier, bounds });

  return {
    /** All versions are immutable here, so publishing one is only a mark. */
    async publish(c: Context<GatewayEnv>) {
      const { name } = targetOf(c);
      const tenant = c.get('tenant');
      const request = await readRequest(c, publishVersionSchema, config.ONCEBOX_BODY_MAX_BYTES);
      const version = versionAt(await registry.get(name, tenant));
      requireRevision(request.RevisionId, revisionOfVersion(version));
      const { CodeSha256: sha256 } = shown(c, name, version);
      if (request.CodeSha256 !== undefined && request.CodeSha256 !== sha256)
        throw invalidParameter(`CodeSha256: the code of $LATEST has ${sha256}`);
      const number = version.version;
      const before = version.labels?.[labels.published];
      // Published already, and nothing changed since: it stays what it is.
      if (before === undefined) {
        const mark = { [labels.published]: request.Description ?? '' };
        await registry.putLabels({ name, version: number, tenant }, mark);
        version.labels = { ...version.labels, ...mark };
      }
      return c.json(shown(c, name, version, String(number)), 201);
    },

    async list(c: Context<GatewayEnv>) {
      const { name } = targetOf(c);
      const all = versionsOf(c, await registry.get(name, c.get('tenant')), shown) as ReturnType<
        typeof shown
      >[];
      // As wide as each other, numbers are in their order as text, and `$LATEST` is before them: "$" is less than "0".
      const { items, next } = pageOf(c, all, ({ Version }) => Version.padStart(16, '0'));
      return c.json({ Versions: items, ...next });
    },
  };
}
