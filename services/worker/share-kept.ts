/**
 * Fits what is to be kept parked into so many places: the tenants have equal shares of them, and of a tenant's share its
 * functions have. What one does not need, the others get. In the order that they came in.
 */
export function shareKept<Kept extends { tenant: string; count: number }>(
  wanted: readonly Kept[],
  places: number,
): Kept[] {
  const ofTenants = new Map<string, Kept[]>();
  for (const kept of wanted) ofTenants.set(kept.tenant, [...(ofTenants.get(kept.tenant) ?? []), kept]);
  const tenants = [...ofTenants.values()];
  const shares = fill(tenants.map(sumOf), places);
  const counts = new Map<Kept, number>();
  for (const [at, functions] of tenants.entries()) {
    const given = fill(
      functions.map(({ count }) => count),
      shares[at] ?? 0,
    );
    for (const [index, kept] of functions.entries()) counts.set(kept, given[index] ?? 0);
  }
  return wanted.flatMap((kept) => {
    const count = counts.get(kept) ?? 0;
    return count === 0 ? [] : [{ ...kept, count }];
  });
}

/** Max-min fair: the least of them first, so that what they leave is for the others. */
function fill(demands: readonly number[], places: number): number[] {
  const given = demands.map(() => 0);
  let left = places;
  const order = demands.map((demand, at) => ({ demand, at })).sort((a, b) => a.demand - b.demand);
  for (const [index, { demand, at }] of order.entries()) {
    const share = Math.min(demand, Math.ceil(left / (order.length - index)), left);
    given[at] = share;
    left -= share;
  }
  return given;
}

function sumOf(functions: readonly { count: number }[]): number {
  return functions.reduce((sum, { count }) => sum + count, 0);
}
