import { defaultLimits, type Limits } from '../../sdk/contract/limits.ts';

/** The defaults but for these, and for the wall time: what a test says nothing of has time on a machine that has much else to do. */
export const patientLimits = (limits: Partial<Limits> = {}): Limits => ({
  ...defaultLimits(),
  wallMs: 60_000,
  ...limits,
});
