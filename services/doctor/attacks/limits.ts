import { type LimitName, limitTable } from '../../../sdk/contract/limits.ts';
import type { Attack } from './attack.ts';
import { sendText } from './send-text.ts';
import { must } from './verdict.ts';

const names = Object.keys(limitTable) as LimitName[];

/** As JSON text, since some of these are no JSON. The second is the field that has to be named. */
function badValues(name: LimitName): [text: string, field: string][] {
  const { min, max } = limitTable[name];
  const own = `limits.${name}`;
  return [
    ...['-1', '1e999', '-1e999', `${2 ** 54}`, `${max + 1}`, '"10"', 'null', 'true', '[]', '{}'].map(
      (text): [string, string] => [text, own],
    ),
    ...(min > 0 ? [['0', own] as [string, string], ['-0', own] as [string, string]] : []),
    ...(name === 'cpus' ? [] : [[`${min + 0.5}`, own] as [string, string]]),
    ...['NaN', 'Infinity', '0x10', '1_000'].map((text): [string, string] => [text, 'body']),
  ];
}

const limits: Attack = {
  id: 'limits-refused',
  group: 'limits',
  title: 'limits that are negative, NaN, infinite, 2⁵⁴, strings, over the maximum, of unknown names',
  must: '400, naming the field',
  async attack(ground) {
    for (const name of names) {
      for (const [text, field] of badValues(name)) {
        const caps = `"limits":{"${name}":${text}}`;
        const run = await sendText(ground, 'POST', '/v1/run', `{"runtime":"bash","code":"true",${caps}}`);
        must(run.status === 400 && run.field === field, `a run with ${caps}`, run);
        const files = '"files":[{"path":"index.mjs","content":"1"}]';
        const deploy = await sendText(
          ground,
          'PUT',
          '/v1/functions/limits',
          `{"runtime":"node","handler":"index.handler",${files},${caps}}`,
        );
        must(deploy.status === 400 && deploy.field === field, `a deploy with ${caps}`, deploy);
      }
    }
    const unknown = '{"runtime":"bash","code":"true","limits":{"nonsense":1}}';
    const { status } = await sendText(ground, 'POST', '/v1/run', unknown);
    must(status === 400, 'an unknown limit', status);
  },
  async control(ground) {
    for (const name of names) {
      const { defaultValue } = limitTable[name];
      const body = `{"runtime":"bash","code":"true","limits":{"${name}":${defaultValue}}}`;
      const run = await sendText(ground, 'POST', '/v1/run', body);
      must(run.status === 200, `an ordinary ${name}`, run);
    }
  },
};

export const limitAttacks: readonly Attack[] = [limits];
