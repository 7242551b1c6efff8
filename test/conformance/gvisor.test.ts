import { sandboxConformance } from './sandbox.cases.ts';

sandboxConformance('gvisor');
