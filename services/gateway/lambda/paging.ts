import type { Context } from 'hono';
import { invalidParameter } from './errors.ts';

/**
 * A part of a list that is sorted by `keyOf`: what comes behind the query's Marker, MaxItems of it at most. The marker is the
 * last key, so what is made or deleted meanwhile shifts nothing.
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
  const found = key === undefined ? 0 : items.findIndex((item) => keyOf(item) === key) + 1;
  if (key !== undefined && found === 0) throw invalidParameter('The marker is of no list that is there now.');
  const part = items.slice(found, found + Math.min(wanted, max));
  const last = part.at(-1);
  const isRest = last !== undefined && found + part.length < items.length;
  return {
    items: part,
    next: isRest ? { NextMarker: Buffer.from(keyOf(last)).toString('base64url') } : {},
  };
}
