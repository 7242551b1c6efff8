import type { Language } from '../language.ts';
import { compilerLimits, largeCompilerLimits, machineLimits } from './limits.ts';

const hello = 'Hello, box\n';
/** Debian's scripts would have copied its configuration, and written down the classes that each machine starts with. */
const javaSetup = [
  'cd /usr/lib/jvm && ln -s java-17-openjdk-* default && cd default && ' +
    '{ [ -e lib/jvm.cfg ] || cp lib/jvm.cfg-default lib/jvm.cfg; } && ' +
    'ln -s /usr/lib/jvm/default/bin/* /usr/bin && java -Xshare:dump',
];
/** Debian's alternatives would have chosen these. */
const algebraSetup = [
  'cd /usr/lib/*-linux-gnu* && ln -sf blas/libblas.so.3 lapack/liblapack.so.3 . && ldconfig',
];
const javaEnv = { JAVA_HOME: '/usr/lib/jvm/default' };
const javaArguments = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto'];

/** Those with a virtual machine of their own, or a large library: they take memory before they do anything. */
export const machines: readonly Language[] = [
  {
    name: 'csharp',
    version: '6.8.0.105',
    aliases: ['c#', 'cs', 'mono', 'csharp.mono'],
    extensions: ['.cs'],
    fileName: 'main.cs',
    runtime: 'mono',
    base: 'bash',
    packages: ['mono-mcs', 'libmono-system-core4.0-cil', 'libmono-system-numerics4.0-cil'],
    compile: ['mcs', '-out:a.exe', '{files}'],
    run: ['mono', 'a.exe'],
    limits: { compile: compilerLimits, run: machineLimits },
    versionCommand: ['mono', '--version'],
    test: {
      files: {
        'main.cs':
          'using System;\nusing System.Linq;\nclass Program {\n  static void Main() { Console.WriteLine("Hello, " + Console.ReadLine()); }\n}\n',
      },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'elixir',
    version: '1.14.0',
    aliases: ['exs', 'ex'],
    extensions: ['.exs', '.ex'],
    fileName: 'main.exs',
    base: 'bash',
    packages: ['elixir'],
    run: ['elixir', '{entry}'],
    limits: { run: machineLimits },
    versionCommand: ['elixir', '--version'],
    test: {
      files: { 'main.exs': 'name = IO.gets("") |> String.trim()\nIO.puts("Hello, #{name}")\n' },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'erlang',
    version: '25',
    aliases: ['erl', 'escript'],
    extensions: ['.erl', '.escript'],
    fileName: 'main.erl',
    base: 'bash',
    packages: ['erlang-base'],
    run: ['escript', '{entry}'],
    limits: { run: machineLimits },
    versionCommand: ['erl', '-noshell', '-eval', 'io:put_chars(erlang:system_info(otp_release)), halt().'],
    test: {
      files: {
        'main.erl':
          '%% A script: the first line is not read.\nmain(_) ->\n    io:format("Hello, ~s", [io:get_line("")]).\n',
      },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'java',
    version: '17.0.21.1',
    aliases: ['openjdk'],
    extensions: ['.java'],
    fileName: 'Main.java',
    base: 'bash',
    packages: ['openjdk-17-jdk-headless'],
    setup: javaSetup,
    compile: ['javac', '-J-XX:+UseSerialGC', '-d', '.', '{files}'],
    run: ['java', ...javaArguments, '-cp', '.', '{stem}'],
    env: javaEnv,
    limits: { compile: largeCompilerLimits, run: machineLimits },
    versionCommand: ['java', '-version'],
    test: {
      files: {
        'Main.java':
          'import java.util.Scanner;\n\npublic class Main {\n    public static void main(String[] args) {\n        System.out.println("Hello, " + new Scanner(System.in).nextLine());\n    }\n}\n',
      },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'lisp',
    version: '2.2.9',
    aliases: ['commonlisp', 'cl', 'sbcl'],
    extensions: ['.lisp', '.cl', '.lsp'],
    fileName: 'main.lisp',
    runtime: 'sbcl',
    base: 'bash',
    packages: ['sbcl'],
    run: ['sbcl', '--script', '{entry}'],
    limits: { run: machineLimits },
    versionCommand: ['sbcl', '--version'],
    test: {
      files: { 'main.lisp': '(format t "Hello, ~a~%" (read-line))\n' },
      stdin: 'box\n',
      stdout: hello,
    },
  },
  {
    name: 'octave',
    version: '7.3.0',
    aliases: ['matlab', 'm'],
    extensions: ['.m'],
    fileName: 'main.m',
    base: 'bash',
    packages: ['octave'],
    setup: algebraSetup,
    run: ['octave-cli', '--quiet', '--no-window-system', '{entry}'],
    limits: { run: machineLimits },
    versionCommand: ['octave-cli', '--version'],
    test: {
      files: {
        'main.m': 'a = [2 1; 1 1] \\ [3; 2];\nprintf("Hello, %s %d\\n", fgetl(stdin), round(a(1)));\n',
      },
      stdin: 'box\n',
      stdout: 'Hello, box 1\n',
    },
  },
  {
    name: 'r',
    version: '4.2.2',
    aliases: ['rscript'],
    extensions: ['.r', '.R'],
    fileName: 'main.r',
    base: 'bash',
    packages: ['r-base-core'],
    setup: [...algebraSetup, 'cp /usr/lib/R/etc/Renviron.ucf /etc/R/Renviron'],
    run: ['Rscript', '--vanilla', '{entry}'],
    limits: { run: machineLimits },
    versionCommand: ['Rscript', '--version'],
    test: {
      files: {
        'main.r':
          'name <- readLines("stdin", n = 1)\ncat(sprintf("Hello, %s %g\\n", name, solve(matrix(2))))\n',
      },
      stdin: 'box\n',
      stdout: 'Hello, box 0.5\n',
    },
  },
  {
    name: 'scheme',
    version: '3.0.8',
    aliases: ['guile', 'scm'],
    extensions: ['.scm', '.ss'],
    fileName: 'main.scm',
    runtime: 'guile',
    base: 'bash',
    packages: ['guile-3.0'],
    setup: ['ln -sf /usr/lib/*/guile/3.0/bin/guile /usr/bin'],
    run: ['guile', '--no-auto-compile', '-s', '{entry}'],
    limits: { run: machineLimits },
    versionCommand: ['guile', '--version'],
    test: {
      files: {
        'main.scm': '(use-modules (ice-9 rdelim))\n(display (string-append "Hello, " (read-line) "\\n"))\n',
      },
      stdin: 'box\n',
      stdout: hello,
    },
  },
];
