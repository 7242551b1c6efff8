import { expect, test } from 'vitest';
import { lookupOf } from '../../runtime/image/reference.ts';
import { wantedImage } from '../../services/queue/image-names.ts';

const digest = `sha256:${'0'.repeat(64)}`;

test.each([
  ['node', { names: ['localhost/node:latest', 'docker.io/library/node:latest'] }],
  ['team/app:1', { names: ['localhost/team/app:1', 'docker.io/team/app:1'] }],
  ['localhost/node', { names: ['localhost/node:latest'] }],
  ['docker.io/alpine:3.20', { names: ['docker.io/library/alpine:3.20'] }],
  ['index.docker.io/team/app', { names: ['docker.io/team/app:latest'] }],
  ['registry.example:5000/team/app', { names: ['registry.example:5000/team/app:latest'] }],
  ['127.0.0.1:5000/a:b', { names: ['127.0.0.1:5000/a:b'] }],
  ['Host/a', { names: ['Host/a:latest'] }],
  [digest, { names: [], digest }],
  [
    `alpine@${digest}`,
    { names: [`localhost/alpine@${digest}`, `docker.io/library/alpine@${digest}`], digest },
  ],
  [`registry.example/a:1@${digest}`, { names: [`registry.example/a@${digest}`], digest }],
] as const)('%s asks for what the store would look up', (reference, wanted) => {
  expect(wantedImage(reference)).toEqual(wanted);
  expect(lookupOf(reference)).toEqual(wanted);
});
