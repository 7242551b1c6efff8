import { tally } from './guest-platform.ts';

// One part or, without a choice, both: each is a list of checks that runs when it is loaded.
const part = process.env.ONCEBOX_VM || 'all';
if (part !== 'attacks') await import('./guest-zones.ts');
if (part !== 'zones') await import('./guest-attacks.ts');
console.log(`${tally.passed} passed, ${tally.failed} failed`);
// The machine ends with us, and what may still be open in it too.
process.exit();
