/** What is wrong with a program, and how it ends then. */
export interface Faults {
  /** Refused by the compiler; where there is none it fails by itself. */
  wrong: string;
  /** Where the language says what is wrong, and ends well all the same. */
  wrongStatus?: 'ok';
  /** What all of them read; nothing unless given. */
  stdin?: string;
  /** Never ends. */
  forever: string;
  /** Takes all memory there is. */
  greedy: string;
  /** Where the language stops itself, before the platform would. */
  greedyStatus?: 'exited';
}

const cLike = { wrong: 'int main( {', forever: 'int main() { for (volatile int i = 0;; i++); }\n' };

/** By language: the text of the entry. */
export const faults: Readonly<Record<string, Faults>> = {
  ada: {
    wrong: 'procedure Main is begin oops; end Main;',
    forever: 'procedure Main is begin loop null; end loop; end Main;',
    greedy: `procedure Main is
   type Block is array (1 .. 1_000_000) of Integer;
   type Link is access Block;
   Last : Link;
begin
   loop
      Last := new Block'(others => 1);
   end loop;
end Main;`,
  },
  algol68: {
    wrong: 'print(oops)',
    forever: 'DO SKIP OD',
    greedy: '[1:1000000000]INT a;\na[1] := 1',
    greedyStatus: 'exited',
  },
  awk: { wrong: 'BEGIN { ', forever: 'BEGIN { while (1) ; }', greedy: 'BEGIN { while (1) a[i++] = i "x" }' },
  basic: { wrong: 'oops oops', forever: 'do\nloop', greedy: 'a$ = "x"\ndo\na$ = a$ + a$\nloop' },
  bash: { wrong: 'oops(', forever: 'while :; do :; done', greedy: 'a=x; while :; do a=$a$a; done' },
  bc: {
    wrong: 'halt(\n',
    wrongStatus: 'ok',
    forever: 'while (1) { x = 1 }\n',
    // Numbers have as many digits as they are asked for.
    greedy: 'scale = 1000000000\nx = 1 / 1\n',
  },
  c: {
    ...cLike,
    greedy:
      '#include <stdlib.h>\n#include <string.h>\nint main() { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }\n',
  },
  'c++': {
    ...cLike,
    greedy:
      '#include <vector>\nint main() { std::vector<long> all; for (long i = 0;; i++) all.push_back(i); }\n',
  },
  cobol: {
    wrong: 'oops.',
    forever:
      'identification division.\nprogram-id. x.\nprocedure division.\nperform until 1 = 2\ncontinue\nend-perform.\nstop run.\n',
    greedy: `identification division.
program-id. x.
data division.
working-storage section.
01 place usage pointer.
linkage section.
01 piece pic x(1000000).
procedure division.
perform until 1 = 2
  allocate 1000000 characters returning place
  set address of piece to place
  move all "x" to piece
end-perform.
stop run.
`,
  },
  csharp: {
    wrong: 'class P { static void Main() { oops } }',
    forever: 'class P { static void Main() { while (true) {} } }',
    greedy:
      'using System.Collections.Generic;\nclass P { static void Main() { var all = new List<int[]>(); while (true) { var a = new int[100000]; for (int i = 0; i < a.Length; i++) a[i] = 1; all.Add(a); } } }',
  },
  d: {
    wrong: 'void main() { oops }',
    forever: 'void main() { for (int i; ; i++) { if (i == -1) i = 0; } }',
    greedy: 'void main() { int[][] all; while (true) { auto a = new int[250000]; a[] = 1; all ~= a; } }',
  },
  elixir: {
    wrong: 'oops(',
    forever: 'defmodule F do\n  def f, do: f()\nend\nF.f()',
    greedy: 'defmodule F do\n  def f(all), do: f([:binary.copy("x", 1_000_000) | all])\nend\nF.f([])',
  },
  erlang: {
    wrong: '%%\nmain(',
    forever: '%%\nmain(A) -> main(A).\n',
    greedy: '%%\nmain(A) -> main([binary:copy(<<"x">>, 1000000) | A]).\n',
  },
  forth: {
    wrong: 'oops',
    forever: ': f begin again ; f',
    greedy: ': f begin 1000000 allocate throw 1000000 1 fill again ; f',
  },
  fortran: {
    wrong: 'program x\n oops\nend program',
    forever: 'program x\n integer :: i\n i = 0\n do while (i < 1)\n i = -abs(i)\n end do\nend program\n',
    greedy:
      'program x\n type node\n integer, allocatable :: a(:)\n end type\n type(node) :: all(100000)\n integer :: i\n do i = 1, 100000\n allocate(all(i)%a(250000))\n all(i)%a = i\n end do\n print *, all(7)%a(3)\nend program\n',
  },
  go: {
    wrong: 'package main\nfunc main() { oops }',
    forever: 'package main\nfunc main() { for {} }',
    greedy:
      'package main\nvar all [][]byte\nfunc main() { for { a := make([]byte, 1<<20); for i := range a { a[i] = 1 }; all = append(all, a) } }',
  },
  haskell: {
    wrong: 'main = oops',
    forever:
      'main :: IO ()\nmain = loop 0 where\n  loop :: Int -> IO ()\n  loop n = if n < 0 then pure () else loop (abs (n + 1) `mod` 7)\n',
    greedy:
      'main :: IO ()\nmain = let xs = [1 ..] :: [Integer] in print (xs !! 1000000000) >> print (sum xs)\n',
  },
  java: {
    wrong: 'public class Main { void main() { oops } }',
    forever: 'public class Main { public static void main(String[] a) { while (true) {} } }',
    greedy:
      'import java.util.*;\npublic class Main { public static void main(String[] a) { List<long[]> all = new ArrayList<>(); while (true) all.add(new long[100000]); } }',
  },
  javascript: {
    wrong: 'oops(',
    forever: 'for (;;);',
    greedy: 'const all = []; for (;;) all.push(Buffer.alloc(1e6, 1));',
  },
  jq: { wrong: 'oops', stdin: 'null', forever: 'def f: f; f', greedy: '[range(1e12)]' },
  lisp: {
    wrong: '(error "oops")',
    forever: '(loop)',
    greedy: '(let ((all nil)) (loop (push (make-array 100000 :initial-element 1) all)))',
  },
  lua: {
    wrong: 'oops(',
    forever: 'while true do end',
    greedy: 'local a = {} while true do a[#a + 1] = ("x"):rep(1000000) .. #a end',
  },
  nasm: {
    wrong: 'oops oops',
    forever: 'global _start\n_start: jmp _start\n',
    greedy:
      'section .text\nglobal _start\n_start:\nmov rax, 12\nxor rdi, rdi\nsyscall\nmov rbx, rax\nnext: add rbx, 4096\nmov rax, 12\nmov rdi, rbx\nsyscall\nmov byte [rbx - 1], 1\njmp next\n',
  },
  nim: {
    wrong: 'oops(',
    forever: 'var i = 0\nwhile true: i = (i + 1) mod 7\n',
    greedy:
      'var all: seq[seq[int]]\nwhile true:\n  var a = newSeq[int](100000)\n  for x in a.mitems: x = 1\n  all.add(a)\n',
  },
  ocaml: {
    wrong: 'let () = oops',
    forever: 'let () = while true do () done',
    greedy: "let () = let all = ref [] in while true do all := Bytes.make 1000000 'x' :: !all done",
  },
  octave: {
    wrong: 'oops(',
    forever: 'while true end',
    greedy: 'a = {}; while true a{end + 1} = ones(1000); end',
  },
  pascal: {
    wrong: 'begin oops end.',
    forever: 'var i: integer;\nbegin i := 0; while i < 1 do i := -abs(i); end.',
    greedy:
      'var p: pointer;\nbegin while true do begin getmem(p, 1000000); fillchar(p^, 1000000, 1); end; end.',
  },
  perl: { wrong: 'oops(', forever: '1 while 1;', greedy: 'push @all, "x" x 1000000 . $i++ while 1;' },
  php: {
    wrong: '<?php oops(',
    forever: '<?php while (true);',
    greedy: '<?php ini_set("memory_limit", -1); while (true) $all[] = str_repeat("x", 1000000);',
  },
  pike: {
    wrong: 'int main() { oops(',
    forever: 'int main() { while (1); }',
    greedy: 'int main() { array a = ({}); while (1) a += ({ "x" * 1000000 + random(1000000) }); }',
  },
  prolog: {
    wrong: 'main :- oops.',
    forever: 'main :- repeat, fail.\n',
    greedy: 'main :- f([]).\nf(L) :- length(A, 1000), f([A|L]).\n',
  },
  python: {
    wrong: 'oops(',
    forever: 'while True: pass',
    greedy: 'all = []\nwhile True: all.append(b"x" * 1000000)',
  },
  r: {
    wrong: 'oops(',
    forever: 'while (TRUE) {}',
    greedy: 'all <- list()\nwhile (TRUE) all[[length(all) + 1]] <- rep(1, 1e5)',
  },
  rexx: { wrong: 'oops(', forever: 'do forever\nend', greedy: 'do i = 1\na.i = copies("x", 1000000)\nend' },
  ruby: { wrong: 'oops(', forever: 'loop {}', greedy: 'a = []\nloop { a << "x" * 1_000_000 }' },
  rust: {
    wrong: 'fn main() { oops }',
    forever: 'fn main() { loop {} }',
    greedy: 'fn main() { let mut all = Vec::new(); loop { all.push(vec![1u8; 1 << 20]); } }',
  },
  scheme: {
    wrong: '(oops',
    forever: '(let f () (f))',
    greedy: '(let f ((a (quote ()))) (f (cons (make-string 100000 #\\x) a)))',
  },
  sqlite3: {
    wrong: 'oops;',
    forever: 'with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n;',
    greedy:
      'create table t(x); with recursive n(i) as (select 1 union all select i + 1 from n) insert into t select randomblob(1000000) from n;',
  },
  tcl: {
    wrong: 'oops',
    forever: 'while 1 {}',
    greedy: 'while 1 { lappend a [string repeat x[incr i] 1000000] }',
  },
  typescript: {
    wrong: 'const oops: = 1;',
    forever: 'for (;;);',
    greedy: 'const all: Buffer[] = []; for (;;) all.push(Buffer.alloc(1e6, 1));',
  },
  vala: {
    wrong: 'void main() { oops }',
    forever: 'void main() { int i = 0; while (i < 1) { i = -i.abs(); } }',
    greedy: 'void main() { while (true) { char* a = malloc(1000000); Memory.set(a, 1, 1000000); } }',
  },
  verilog: {
    wrong: 'module oops',
    forever: 'module main;\n  initial forever #1;\nendmodule\n',
    // Each call has variables of its own.
    greedy: `module main;
  task automatic grow;
    reg [999999:0] block;
    begin
      block = 1;
      grow;
    end
  endtask
  initial grow;
endmodule
`,
  },
};
