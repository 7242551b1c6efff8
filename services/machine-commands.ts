import type { CommandEntry } from '../sdk/cli/command-list.ts';

const group = 'This machine:';

/** The commands of `oncebox` that have to do with the machine they run on, which what users import knows nothing of. */
export const machineCommands: readonly CommandEntry[] = [
  {
    name: 'up',
    description: 'run the platform here, in the foreground',
    group,
    load: async () => (await import('./up/command.ts')).upCommand,
  },
  {
    name: 'doctor',
    description: 'say what this machine has of what oncebox needs, and what is wrong with it',
    group,
    load: async () => (await import('./doctor/command.ts')).doctorCommand,
  },
];
