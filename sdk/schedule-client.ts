import {
  type Schedule,
  type ScheduleRequest,
  scheduleListSchema,
  scheduleSchema,
} from './contract/schedule.ts';
import { type CallOptions, call, type Send } from './send.ts';

export interface ScheduleClient {
  /** Makes the schedule, or puts this in the place of what was. */
  putSchedule(id: string, request: ScheduleRequest, options?: CallOptions): Promise<Schedule>;
  /** Sorted by id. */
  schedules(options?: CallOptions): Promise<Schedule[]>;
  schedule(id: string, options?: CallOptions): Promise<Schedule>;
  deleteSchedule(id: string, options?: CallOptions): Promise<void>;
}

export function createScheduleClient(send: Send): ScheduleClient {
  const path = (id: string) => `/v1/schedules/${encodeURIComponent(id)}`;
  return {
    putSchedule: (id, json, options) => call(send, scheduleSchema, 'PUT', path(id), { ...options, json }),
    schedules: async (options) =>
      (await call(send, scheduleListSchema, 'GET', '/v1/schedules', options)).schedules,
    schedule: (id, options) => call(send, scheduleSchema, 'GET', path(id), options),
    deleteSchedule: async (id, options) => void (await send('DELETE', path(id), options)),
  };
}
