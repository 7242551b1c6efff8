import type { Context } from 'hono';
import type { FunctionRecord, FunctionVersion } from '../../../sdk/contract/function.ts';
import { invalidParameter, resourceNotFound } from './errors.ts';

export const latest = '$LATEST';
/** There is one account: whose a function is, the key says. */
const account = '000000000000';

/** `name`, `name:qualifier`, a partial ARN such as `000000000000:function:name`, or a whole one. */
const pattern =
  /^(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z]{2}(?:-[a-z]+)+-\d:)?(?:\d{12}:)?(?:function:)?([A-Za-z0-9_-]{1,64})(?::(\$LATEST|[A-Za-z0-9_-]{1,128}))?$/;

export interface Target {
  name: string;
  /** `$LATEST`, a version's number or an alias. */
  qualifier: string | undefined;
}

/** The function that the path names, with the qualifier that is part of its name or of the query. */
export function targetOf(c: Context, qualifier = c.req.query('Qualifier')): Target {
  return parseTarget(c.req.param('name') ?? '', qualifier);
}

export function parseTarget(text: string, given?: string): Target {
  const [, name, inName] = pattern.exec(text) ?? [];
  if (name === undefined)
    throw invalidParameter(`"${text.slice(0, 200)}" is neither a function's name nor its ARN`);
  if (given !== undefined && inName !== undefined && given !== inName)
    throw invalidParameter(
      'The derived qualifier from the function name does not match the specified qualifier.',
    );
  const qualifier = given ?? inName;
  if (qualifier !== undefined && !/^(\$LATEST|[A-Za-z0-9_-]{1,128})$/.test(qualifier))
    throw invalidParameter(`"${qualifier.slice(0, 200)}" is no qualifier: $LATEST, a version or an alias`);
  return { name, qualifier };
}

/** As the registry is asked for it: without a qualifier, and as `$LATEST`, it is the current version. */
export function referenceOf({ name, qualifier = latest }: Target): string {
  return qualifier === latest ? name : `${name}:${qualifier}`;
}

/** The version that the qualifier stands for; of an alias the one that gets the rest. Throws ResourceNotFoundException. */
export function versionAt(record: FunctionRecord, qualifier: string = latest): FunctionVersion {
  const alias = record.aliases.find(({ name }) => name === qualifier);
  const number = qualifier === latest ? record.current : (alias?.version ?? Number(qualifier));
  const version = record.versions.find((one) => one.version === number);
  if (!version) throw resourceNotFound(`Function not found: ${record.name}:${qualifier}`);
  return version;
}

/** Who asks for no version in particular is not told which it was. */
export function executedVersion({ qualifier = latest }: Target, version: number): string {
  return qualifier === latest ? latest : String(version);
}

export function arnOf(c: Context, name: string, qualifier?: string): string {
  const arn = `arn:aws:lambda:${regionOf(c)}:${account}:function:${name}`;
  return qualifier === undefined ? arn : `${arn}:${qualifier}`;
}

/** The one that the caller signs for: all are here. */
function regionOf(c: Context): string {
  const scope = /Credential=[^/,\s]+\/\d{8}\/([a-z0-9-]{1,32})\//.exec(c.req.header('authorization') ?? '');
  return scope?.[1] ?? 'us-east-1';
}
