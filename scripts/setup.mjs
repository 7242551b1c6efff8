/**
 * Brings a fresh clone to where `npm start` and `npm test` work: distribution packages, npm packages, native build,
 * base images; with `--tests` what only tests need, too. Runs before anything is installed, so it is plain JavaScript
 * on Node's own modules. Each step looks first and acts only on what is missing; when nothing is, no process is started.
 */
import { fileURLToPath } from 'node:url';
import { baseImages } from './setup/base-images.mjs';
import { aptPackages, listHowToGet, missingTools } from './setup/distribution.mjs';
import { javascriptTools } from './setup/javascript-tools.mjs';
import { holdLock } from './setup/lock.mjs';
import { nativeBuild } from './setup/native-build.mjs';
import { npmPackages } from './setup/npm-packages.mjs';
import { describePlatform, refuseImpossible } from './setup/platform.mjs';
import { CommandError, StoppedError, seconds, showStep } from './setup/progress.mjs';
import { pythonTools } from './setup/python-tools.mjs';
import { servicesBundle } from './setup/services-bundle.mjs';
import { testTools } from './setup/test-tools.mjs';

const repo = fileURLToPath(new URL('..', import.meta.url));
const storeDir =
  process.env.ONCEBOX_STORE_DIR || `${process.env.ONCEBOX_DATA_DIR || '/var/lib/oncebox'}/store`;
// The services run as an ordinary user and must be able to read what root makes here.
process.umask(0o022);

try {
  await setUp();
} catch (error) {
  if (!(error instanceof CommandError || error instanceof StoppedError)) throw error;
  console.error(error.message);
  process.exitCode = error instanceof StoppedError ? 130 : 1;
}

async function setUp() {
  const started = performance.now();
  const platform = describePlatform();
  refuseImpossible(platform);

  const steps = [npmPackages(repo), nativeBuild(repo), servicesBundle(repo), baseImages(repo, storeDir)];
  const forTests = process.argv.includes('--tests');
  if (forTests) steps.push(testTools(storeDir), pythonTools(repo, storeDir), javascriptTools(repo, storeDir));
  const tools = missingTools({ forTests });
  const needed = steps.filter((step) => !step.isDone());
  if (tools.length === 0 && needed.length === 0) return;

  // An unknown distribution stops us only where we would have to install its packages.
  const needsApt = tools.length > 0 || needed.some((step) => step.needsApt);
  if (!platform.isRoot || (needsApt && !platform.isKnown)) {
    throw new CommandError(listHowToGet(platform, tools, needed));
  }

  holdLock();
  // Another set-up may have done it all while this one waited.
  const missing = missingTools({ forTests });
  if (missing.length > 0) await showStep('distribution packages', (report) => aptPackages(missing, report));
  for (const step of steps) {
    if (!step.isDone()) await showStep(step.name, (report) => step.run(report));
  }
  console.log(`set-up finished in ${seconds(started)}`);
}
