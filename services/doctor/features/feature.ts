/** `required`: oncebox does not start or not run without it. `isolation`: makes a wall stronger. */
export type FeatureGroup = 'required' | 'better' | 'isolation';

/** `weak`: it is there, but not as it should be. `unseen`: it could not be tried, as by an ordinary user. */
export type FeatureState = 'there' | 'weak' | 'missing' | 'unseen';

export interface Feature {
  group: FeatureGroup;
  name: string;
  state: FeatureState;
  /** What was seen: a version, a size, the error of the try. */
  found: string;
  /** What oncebox has it for. */
  purpose: string;
  /** What its absence means, and what to do about it; only where it is not there. */
  without?: string;
  remedy?: string;
}

/** A feature as it is described, whether it is there or not. */
export interface Description {
  group: FeatureGroup;
  name: string;
  purpose: string;
  without: string;
  remedy: string;
}

export function featureOf(description: Description, state: FeatureState, found: string): Feature {
  const { without, remedy, ...rest } = description;
  return { ...rest, state, found, ...(state !== 'there' && { without, remedy }) };
}
