import type { Context } from 'hono';
import { invalidParameter } from './errors.ts';

/**
 * A part of a list that is sorted by `keyOf`, by code units: what comes behind the query's Marker, MaxItems of it at most. The
 * marker is the last key, so what is made or deleted meanwhile shifts nothing, be it the marker's own.
 */
export function pageOf<Item>(
  c: Context,
  items: readonly Item[],
  keyOf: (item: Item) => string,
  max = 50,
): { items: Item[]; next: { NextMarker?: string } } {
  const marker = c.req.query('Marker');
  const wanted = Number(c.req.query('MaxItems') ?? max);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > 10_000)
    throw invalidParameter('MaxItems must be a number from 1 to 10000');
  const key = marker === undefined ? undefined : Buffer.from(marker, 'base64url').toString();
  const rest = key === undefined ? items : items.filter((item) => keyOf(item) > key);
  const part = rest.slice(0, Math.min(wanted, max));
  const last = part.at(-1);
  const isRest = last !== undefined && part.length < rest.length;
  return {
    items: part,
    next: isRest ? { NextMarker: Buffer.from(keyOf(last)).toString('base64url') } : {},
  };
}
