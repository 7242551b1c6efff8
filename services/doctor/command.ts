import { Argument, Command } from 'commander';
import type { Session } from '../../sdk/cli/session.ts';

interface Options {
  attacks?: boolean;
  only?: string[];
}

/**
 * `oncebox doctor`. It looks at the machine that it runs on, so it is no part of the SDK, and is handed to the command
 * line by `bin/oncebox`. What it looks with is loaded when it is called: other commands need none of it.
 */
export const doctorCommand = (session: Session) =>
  new Command('doctor')
    .addArgument(new Argument('[what]', '"leaks": look for what was left behind, instead').choices(['leaks']))
    .option('--attacks', 'attack a platform of its own on this machine, and say which walls held')
    .option('--only <name...>', 'of the attacks, only these or those of these groups')
    .addHelpText(
      'after',
      `
Looks at the machine that it runs on; as root it sees all. ONCEBOX_DATA_DIR and ONCEBOX_STORE_DIR say where the
platform has its data, if not in /var/lib/oncebox. Ends with 1 when something that is required is missing, when
something was left behind, when a wall did not hold or an attack's control did not succeed.`,
    )
    .action(async (what: 'leaks' | undefined, { attacks = false, only = [] }: Options) => {
      if (attacks) {
        const { showAttacks } = await import('./show-attacks.ts');
        await showAttacks(session, only);
      } else if (what === 'leaks') {
        const { showLeaks } = await import('./show-leaks.ts');
        await showLeaks(session);
      } else {
        const { showFeatures } = await import('./show-features.ts');
        await showFeatures(session);
      }
    });
