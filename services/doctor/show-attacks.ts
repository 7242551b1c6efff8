import { CliError } from '../../sdk/cli/cli-error.ts';
import type { Session } from '../../sdk/cli/session.ts';

export async function showAttacks(_: Session): Promise<void> {
  throw new CliError('there are no attacks yet');
}
