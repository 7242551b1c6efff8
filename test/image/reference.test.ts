import { describe, expect, test } from 'vitest';
import { localName, lookupOf, parseReference, pullName } from '../../runtime/image/reference.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const full = (text: string) => pullName(parseReference(text));

describe('a reference', () => {
  test.each([
    ['alpine', 'docker.io/library/alpine:latest'],
    ['alpine:3.20', 'docker.io/library/alpine:3.20'],
    ['team/app', 'docker.io/team/app:latest'],
    ['docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['index.docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app:1', 'localhost:5000/app:1'],
    ['registry.example:5000/team/app', 'registry.example:5000/team/app:latest'],
    ['[::1]:5000/app', '[::1]:5000/app:latest'],
    ['a-b__c/d.e--f:Tag_1', 'docker.io/a-b__c/d.e--f:Tag_1'],
    [`quay.io/team/app:1@${digest}`, `quay.io/team/app@${digest}`],
  ])('%s means %s to a registry', (text, name) => {
    expect(full(text)).toBe(name);
  });

  test.each([
    '',
    'Alpine',
    'a//b',
    '/a',
    'a/',
    'a:',
    'a:-b',
    `a:${'t'.repeat(129)}`,
    'a@sha256:12',
    `a@sha512:${'a'.repeat(64)}`,
    '-host.io/a',
    'host.io:port/a',
    'a/b_',
    'a___b',
    `${'a/'.repeat(127)}abc`,
    'https://docker.io/a',
    '--help',
  ])('%j is refused', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  test('what is made here is local unless it says otherwise, and has no digest', () => {
    expect(localName('app')).toBe('localhost/app:latest');
    expect(localName('team/app:2')).toBe('localhost/team/app:2');
    expect(localName('quay.io/app')).toBe('quay.io/app:latest');
    expect(() => localName(`app@${digest}`)).toThrow('gets its digest by itself');
  });

  test('a short name is looked up here first, and a digest by itself', () => {
    expect(lookupOf('app')).toEqual({ names: ['localhost/app:latest', 'docker.io/library/app:latest'] });
    expect(lookupOf(digest)).toEqual({ names: [], digest });
    expect(lookupOf(`quay.io/app:1@${digest}`)).toEqual({ names: [`quay.io/app@${digest}`], digest });
  });
});
