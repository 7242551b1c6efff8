import { table } from '../../sdk/cli/format.ts';
import type { Session } from '../../sdk/cli/session.ts';
import { loadConfig } from '../shared/config.ts';
import { type Colour, type Colours, colours } from './colours.ts';
import type { Feature, FeatureGroup, FeatureState } from './features/feature.ts';
import { type FeatureReport, lookAtFeatures } from './features/look-at-features.ts';

const headings: Record<FeatureGroup, string> = {
  required: 'REQUIRED',
  better: 'BETTER WITH',
  isolation: 'FOR ISOLATION',
};
const marks: Record<FeatureState, [string, Colour]> = {
  there: ['yes', 'green'],
  weak: ['weak', 'yellow'],
  missing: ['NO', 'red'],
  unseen: ['?', 'yellow'],
};

export async function showFeatures(session: Session): Promise<void> {
  const report = await lookAtFeatures(loadConfig(session.io.env).ONCEBOX_DATA_DIR);
  session.print(report, () => text(report, colours(session.io)));
  if (!report.canRun) session.exitCode = 1;
}

function text({ canRun, features }: FeatureReport, colour: Colours): string {
  const groups = Object.entries(headings).map(([group, heading]) => {
    const rows = features.filter((feature) => feature.group === group).map((feature) => row(feature, colour));
    return table([colour('bold', heading), '', 'FOUND'], rows);
  });
  const advice = features.filter(({ state }) => state !== 'there').map((feature) => explain(feature, colour));
  const unseen = features.filter(({ group, state }) => group === 'required' && state === 'unseen').length;
  const verdict = !canRun
    ? colour('red', 'oncebox cannot run on this machine as it is.')
    : unseen > 0
      ? colour('yellow', `Nothing that is required is missing, of what could be seen; ${unseen} could not.`)
      : colour('green', 'oncebox can run on this machine.');
  return [...groups, ...advice, verdict].join('\n\n');
}

function row({ name, state, found }: Feature, colour: Colours): string[] {
  const [mark, tint] = marks[state];
  return [name, colour(tint, mark), found];
}

function explain({ name, state, purpose, without, remedy }: Feature, colour: Colours): string {
  const [mark, tint] = marks[state];
  return [
    `${colour(tint, mark)} ${colour('bold', name)}: ${purpose}.`,
    `  without it: ${without}`,
    `  to do:      ${remedy}`,
  ].join('\n');
}
