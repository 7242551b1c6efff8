import { imageEventSchema, imageSummarySchema } from '../../../../sdk/contract/image.ts';
import { json, reply } from '../errors.ts';
import { named } from '../named.ts';

export const imageSummary = named('ImageSummary', imageSummarySchema);
named('ImageEvent', imageEventSchema);

/** Of what takes long: the image, or a line of JSON for every step, as `Accept` says. */
export const imageReply = reply(
  'With `Accept: application/x-ndjson` each line is an `ImageEvent`, and the last one says how it ended.',
  { ...json(imageSummary), 'application/x-ndjson': { schema: { type: 'string' } } },
);
