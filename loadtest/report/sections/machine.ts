import { bytes, digits } from '../figures.ts';
import { type Markup, markup } from '../markup.ts';
import type { Machine, Report } from '../schema.ts';

/** What the figures depend on. */
export function machineSection({ machine, url, scenarios, seed }: Report): Markup {
  const facts: [string, string][] = [
    ...machineFacts(machine),
    ['Asked', url],
    ['Scenarios', scenarios.join(', ')],
    ['Seed', `${seed}`],
  ];
  return markup`<section>
<h2>${machine.client === 'remote' ? 'The machine that sent the load' : 'Machine'}</h2>
<dl>${facts.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
${
  machine.client === 'remote' &&
  markup`<p class="note">The platform ran elsewhere: nothing here tells of its machine.</p>`
}
</section>`;
}

export function machineFacts(machine: Machine): [name: string, value: string][] {
  return [
    ['Processor', `${machine.cores} × ${machine.model}`],
    ['Memory', bytes(machine.memoryBytes)],
    ['Kernel', `Linux ${machine.kernel}`],
    ['cgroups', machine.cgroups],
    ['Virtualization', machine.virtualization ?? 'none'],
    ['Held back', machine.throttling ?? 'nothing to be seen'],
    ['Load before', machine.loadBefore.map(digits).join(', ')],
    ['Node', machine.node],
    ['Revision', machine.revision],
  ];
}
