import type { Command } from 'commander';
import type { Session } from './session.ts';

type MakeCommand = (session: Session) => Command;

/**
 * A command of `oncebox`, and where it is. What a command needs is loaded when the command line names it: the help of
 * `oncebox` itself is made of names and descriptions alone.
 */
export interface CommandEntry {
  name: string;
  aliases?: readonly string[];
  description: string;
  /** Under which heading the help lists it. */
  group: string;
  load(): Promise<MakeCommand>;
}

const functions = 'Functions:';
const programs = 'Programs and invocations:';
const images = 'Images:';
const others = 'Commands:';

export const commandList: readonly CommandEntry[] = [
  {
    name: 'deploy',
    description: 'make a directory the next version of a function',
    group: functions,
    load: async () => (await import('./commands/deploy.ts')).deployCommand,
  },
  {
    name: 'invoke',
    description: 'call a function, and print what it returns',
    group: functions,
    load: async () => (await import('./commands/invoke.ts')).invokeCommand,
  },
  {
    name: 'dev',
    description: 'deploy a directory, and deploy it again whenever a file is saved',
    group: functions,
    load: async () => (await import('./commands/dev.ts')).devCommand,
  },
  {
    name: 'functions',
    description: 'list functions, show one, or remove it',
    group: functions,
    load: async () => (await import('./commands/functions.ts')).functionsCommand,
  },
  {
    name: 'alias',
    description: 'names that point at versions of a function, with shares',
    group: functions,
    load: async () => (await import('./commands/alias.ts')).aliasCommand,
  },
  {
    name: 'rollback',
    description: 'make an earlier version the current one',
    group: functions,
    load: async () => (await import('./commands/rollback.ts')).rollbackCommand,
  },
  {
    name: 'schedule',
    description: 'call functions by the clock',
    group: functions,
    load: async () => (await import('./commands/schedule.ts')).scheduleCommand,
  },
  {
    name: 'settings',
    description: 'show or change what holds for all versions of a function',
    group: functions,
    load: async () => (await import('./commands/settings.ts')).settingsCommand,
  },
  {
    name: 'secret',
    description: 'keep what functions need and nobody else may read',
    group: functions,
    load: async () => (await import('./commands/secret.ts')).secretCommand,
  },
  {
    name: 'dead-letters',
    description: 'calls that failed for good: list, show, run again, remove',
    group: functions,
    load: async () => (await import('./commands/dead-letters.ts')).deadLettersCommand,
  },
  {
    name: 'run',
    description: 'run an image or a program in a fresh sandbox; ends as the program did',
    group: programs,
    load: async () => (await import('./commands/run.ts')).runCommand,
  },
  {
    name: 'logs',
    description: 'print what an invocation has written, or the newest of a function',
    group: programs,
    load: async () => (await import('./commands/logs.ts')).logsCommand,
  },
  {
    name: 'ps',
    description: 'list sandboxes, or invocations',
    group: programs,
    load: async () => (await import('./commands/ps.ts')).psCommand,
  },
  {
    name: 'invocations',
    description: 'list invocations, newest first',
    group: programs,
    load: async () => (await import('./commands/invocations.ts')).invocationsCommand,
  },
  {
    name: 'cancel',
    description: 'end invocations, whether they run or wait',
    group: programs,
    load: async () => (await import('./commands/cancel.ts')).cancelCommand,
  },
  {
    name: 'diff',
    description: 'say what an invocation changed in its files: A added, C changed, D deleted',
    group: programs,
    load: async () => (await import('./commands/diff.ts')).diffCommand,
  },
  {
    name: 'languages',
    description: 'list languages, install or remove them',
    group: programs,
    load: async () => (await import('./commands/languages.ts')).languagesCommand,
  },
  {
    name: 'images',
    description: 'list images',
    group: images,
    load: async () => (await import('./commands/images.ts')).imagesCommand,
  },
  {
    name: 'pull',
    description: 'fetch an image from a registry',
    group: images,
    load: async () => (await import('./commands/pull.ts')).pullCommand,
  },
  {
    name: 'push',
    description: "send an image, or a function's version, to a registry",
    group: images,
    load: async () => (await import('./commands/push.ts')).pushCommand,
  },
  {
    name: 'import',
    description: 'add an image from an archive: of "docker save", or a tar of an OCI layout',
    group: images,
    load: async () => (await import('./commands/import.ts')).importCommand,
  },
  {
    name: 'build',
    description: 'build an image from a Dockerfile',
    group: images,
    load: async () => (await import('./commands/build.ts')).buildCommand,
  },
  {
    name: 'inspect',
    description: 'print all that is known of an image, as JSON',
    group: images,
    load: async () => (await import('./commands/inspect.ts')).inspectCommand,
  },
  {
    name: 'history',
    description: 'list the steps that made an image, newest first',
    group: images,
    load: async () => (await import('./commands/history.ts')).historyCommand,
  },
  {
    name: 'tag',
    description: 'give an image another name',
    group: images,
    load: async () => (await import('./commands/tag.ts')).tagCommand,
  },
  {
    name: 'rm',
    aliases: ['rmi'],
    description: 'remove images, or names of images',
    group: images,
    load: async () => (await import('./commands/rm.ts')).rmCommand,
  },
  {
    name: 'prune',
    description: 'remove images without a name, and layers and blobs that no image needs',
    group: images,
    load: async () => (await import('./commands/prune.ts')).pruneCommand,
  },
  {
    name: 'df',
    description: 'say what images, layers and sandboxes take',
    group: images,
    load: async () => (await import('./commands/df.ts')).dfCommand,
  },
  {
    name: 'keys',
    description: 'list, make or take away what programs prove who they are with',
    group: others,
    load: async () => (await import('./commands/keys.ts')).keysCommand,
  },
  {
    name: 'tenants',
    description: 'list tenants, or say what they may use',
    group: others,
    load: async () => (await import('./commands/tenants.ts')).tenantsCommand,
  },
  {
    name: 'completion',
    description: 'print what makes a shell complete these commands',
    group: others,
    load: async () => (await import('./commands/completion.ts')).completionCommand,
  },
];
