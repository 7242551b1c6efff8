import { fileURLToPath } from 'node:url';
import { servicesBundle } from '../../scripts/setup/services-bundle.mjs';

/** Tests start the services as they are now, also when vitest is run without set-up. */
export async function setup() {
  const services = servicesBundle(fileURLToPath(new URL('../..', import.meta.url)));
  if (!services.isDone()) await services.run();
}
