import { sandboxConformance } from './sandbox.cases.ts';

sandboxConformance('runc');
