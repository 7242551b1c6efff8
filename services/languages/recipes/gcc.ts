import type { Language } from '../language.ts';
import { compilerLimits, largeCompilerLimits } from './limits.ts';

const hello = 'Hello, box\n';
/** What many compilers link with; Debian's alternatives would have chosen it. */
export const linkerSetup = ['ln -s gcc /usr/bin/cc'];

/** The languages of the GNU Compiler Collection. */
export const gcc: readonly Language[] = [
  {
    name: 'ada',
    version: '12.2.0',
    aliases: ['gnat', 'adb'],
    extensions: ['.adb', '.ads'],
    fileName: 'main.adb',
    runtime: 'gcc',
    base: 'bash',
    packages: ['gnat', 'libc6-dev'],
    compile: ['gnatmake', '-q', '-O2', '-o', 'a.out', '{entry}'],
    run: ['./a.out'],
    limits: { compile: compilerLimits },
    versionCommand: ['sh', '-c', 'gnatmake-12 --version; gcc-12 --version'],
    test: {
      files: {
        'main.adb':
          'with Ada.Text_IO; use Ada.Text_IO;\nprocedure Main is\nbegin\n   Put_Line ("Hello, " & Get_Line);\nend Main;\n',
      },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'c',
    version: '12.2.0',
    aliases: ['gcc'],
    extensions: ['.c'],
    fileName: 'main.c',
    runtime: 'gcc',
    base: 'bash',
    packages: ['gcc', 'libc6-dev'],
    setup: linkerSetup,
    compile: ['gcc', '-O2', '-o', 'a.out', '{files}', '-lm'],
    run: ['./a.out'],
    limits: { compile: compilerLimits },
    versionCommand: ['gcc', '-dumpfullversion'],
    test: {
      files: {
        'main.c':
          '#include <math.h>\n#include <stdio.h>\nint main(void) { char name[9]; return scanf("%8s", name) == 1 && printf("Hello, %s\\n", name) > sqrt(4) ? 0 : 1; }\n',
      },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'c++',
    version: '12.2.0',
    aliases: ['cpp', 'g++'],
    extensions: ['.cpp', '.cc', '.cxx'],
    fileName: 'main.cpp',
    runtime: 'gcc',
    base: 'bash',
    packages: ['g++'],
    setup: [...linkerSetup, 'ln -s g++ /usr/bin/c++'],
    compile: ['g++', '-O2', '-std=gnu++20', '-o', 'a.out', '{files}'],
    run: ['./a.out'],
    limits: { compile: largeCompilerLimits },
    versionCommand: ['g++', '-dumpfullversion'],
    test: {
      files: {
        'main.cpp':
          '#include <iostream>\n#include <string>\nint main() { std::string name; std::cin >> name; std::cout << "Hello, " << name << std::endl; }\n',
      },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'd',
    version: '12.2.0',
    aliases: ['gdc', 'dlang'],
    extensions: ['.d'],
    fileName: 'main.d',
    runtime: 'gcc',
    base: 'bash',
    packages: ['gdc'],
    compile: ['gdc', '-O2', '-o', 'a.out', '{files}'],
    run: ['./a.out'],
    limits: { compile: largeCompilerLimits },
    versionCommand: ['gdc', '-dumpfullversion'],
    test: {
      files: { 'main.d': 'import std.stdio;\nvoid main() { write("Hello, ", readln()); }\n' },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'fortran',
    version: '12.2.0',
    aliases: ['gfortran', 'f90'],
    extensions: ['.f90', '.f95', '.f03', '.f08', '.f', '.for'],
    fileName: 'main.f90',
    runtime: 'gcc',
    base: 'bash',
    packages: ['gfortran', 'libc6-dev'],
    compile: ['gfortran', '-O2', '-o', 'a.out', '{files}'],
    run: ['./a.out'],
    limits: { compile: compilerLimits },
    versionCommand: ['gfortran', '-dumpfullversion'],
    test: {
      files: {
        'main.f90':
          "program hello\n  character(3) :: name\n  read *, name\n  print '(a)', 'Hello, '//name\nend program\n",
      },
      stdin: 'box\n',
      stdout: hello,
    },
  },
];
