import type { Language } from '../language.ts';

/** Interpreted, with small interpreters. */
export const scripts: readonly Language[] = [
  {
    name: 'lua',
    version: '5.4.4',
    aliases: [],
    extensions: ['.lua'],
    fileName: 'main.lua',
    base: 'bash',
    packages: ['lua5.4'],
    run: ['lua5.4', '{entry}'],
    versionCommand: ['lua5.4', '-v'],
    test: { files: { 'main.lua': 'print("Hello, " .. io.read())' }, stdin: 'box\n', stdout: 'Hello, box\n' },
  },
  {
    name: 'octave',
    version: '7.3.0',
    aliases: ['matlab', 'm'],
    extensions: ['.m'],
    fileName: 'main.m',
    base: 'bash',
    packages: ['lua5.4'],
    setup: ['echo hi; id; ls /; ldconfig'],
    run: ['octave', '{entry}'],
    versionCommand: ['octave', '-v'],
    test: { files: { 'main.lua': 'print("Hello, " .. io.read())' }, stdin: 'box\n', stdout: 'Hello, box\n' },
  },
];
