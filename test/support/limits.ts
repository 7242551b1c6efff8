import { defaultLimits, type Limits } from '../../sdk/contract/limits.ts';

/** For what is to end by itself, on a machine however busy. */
export const patient = { wallMs: 60_000, cpuMs: 60_000 };

/** The defaults but for these, and for the wall time: what a test says nothing of has time on a machine that has much else to do. */
export const patientLimits = (limits: Partial<Limits> = {}): Limits => ({
  ...defaultLimits(),
  wallMs: 60_000,
  ...limits,
});
