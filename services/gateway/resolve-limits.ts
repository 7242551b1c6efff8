import { type LimitName, type Limits, limitTable } from '../../sdk/contract/limits.ts';

/** What is given, else the node's default; never above the node's maximum, which may be lower than at the deploy. */
export function resolveLimits(
  given: Partial<Record<string, number | undefined>>,
  { defaults, maxima }: { defaults: Limits; maxima: Limits },
): Limits {
  const names = Object.keys(limitTable) as LimitName[];
  return Object.fromEntries(
    names.map((name) => [name, Math.min(given[name] ?? defaults[name], maxima[name])]),
  ) as Limits;
}
