import type { RouteConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import {
  scheduleIdSchema,
  scheduleListSchema,
  scheduleRequestSchema,
  scheduleSchema,
} from '../../../../sdk/contract/schedule.ts';
import { errors, json, reply } from '../errors.ts';
import { named } from '../named.ts';

const schedule = named('Schedule', scheduleSchema);
const scheduleId = z.object({ id: named('ScheduleId', scheduleIdSchema) });

/** The schema's refinements in words that JSON Schema has: one object for each way of saying when. */
const { cron, everyMs, timeZone, ...common } = scheduleRequestSchema.shape;
const scheduleRequest = named(
  'ScheduleRequest',
  z.union([
    named('ScheduleByCron', z.strictObject({ ...common, cron: cron.unwrap(), timeZone })),
    named('ScheduleByInterval', z.strictObject({ ...common, everyMs: everyMs.unwrap() })),
  ]),
);

export const scheduleOperations: RouteConfig[] = [
  {
    method: 'put',
    path: '/v1/schedules/{id}',
    operationId: 'putSchedule',
    summary: 'Calls a function at set times',
    description:
      'A cron expression of five fields, or of six with seconds first, by the clock of `timeZone` (UTC); or every so many milliseconds from now on.',
    request: {
      params: scheduleId,
      body: {
        required: true,
        content: json(scheduleRequest, {
          function: 'hello',
          cron: '0 7 * * 1-5',
          timeZone: 'Europe/Berlin',
          event: { name: 'Ada' },
        }),
      },
    },
    responses: {
      200: reply('In the place of what was.', json(schedule)),
      201: reply('A new one.', json(schedule)),
      ...errors(
        'invalid_request',
        'unsupported',
        'function_not_found',
        'schedule_limit_reached',
        'quota_exceeded',
        'body_too_large',
      ),
    },
  },
  {
    method: 'get',
    path: '/v1/schedules',
    operationId: 'listSchedules',
    summary: 'Every schedule, with its next run and its last',
    responses: { 200: reply('Sorted by id.', json(scheduleListSchema)), ...errors() },
  },
  {
    method: 'get',
    path: '/v1/schedules/{id}',
    operationId: 'getSchedule',
    summary: 'A schedule, with its next run and its last',
    request: { params: scheduleId },
    responses: { 200: reply('As it is now.', json(schedule)), ...errors('schedule_not_found') },
  },
  {
    method: 'delete',
    path: '/v1/schedules/{id}',
    operationId: 'deleteSchedule',
    summary: 'Ends a schedule',
    request: { params: scheduleId },
    responses: { 204: reply('It calls nothing any more.', undefined), ...errors('schedule_not_found') },
  },
];
