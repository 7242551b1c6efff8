import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** Numbers in [0, 1), the same for the same seed on every machine. */
export type Random = () => number;

export function seededRandom(seed: number): Random {
  const generator = xoroshiro128plus(seed);
  return () => uniformFloat64(generator);
}

/** A choice among `weights.length` things, each as likely as its weight is of all. */
export function weightedChoice(weights: readonly number[], random: Random): () => number {
  let sum = 0;
  const upTo = weights.map((weight) => (sum += weight));
  return () => {
    const at = random() * sum;
    return upTo.findIndex((bound) => at < bound);
  };
}

/** Weights of `count` things by Zipf's law: the k-th is k^exponent times rarer than the first. */
export function zipfWeights(count: number, exponent: number): number[] {
  return Array.from({ length: count }, (_, index) => 1 / (index + 1) ** exponent);
}
