import { mountsOf } from '../leaks/mount-table.ts';

export interface MachineMount {
  type: string;
  point: string;
}

/** The mount that a path lies on. */
export function mountOf(path: string): MachineMount | undefined {
  const holds = ({ point }: MachineMount) => point === '/' || path === point || path.startsWith(`${point}/`);
  // Of those at one place, the last covers the others.
  return mountsOf('self')
    .filter(holds)
    .reduce<MachineMount | undefined>(
      (best, one) => (best && best.point.length > one.point.length ? best : one),
      undefined,
    );
}
