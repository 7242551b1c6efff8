// What program.cjs rehearses with: it prints, as most programs do. Nobody hears it.
console.log(1 + 1, 'text');
console.error('');
