import { expect, test } from 'vitest';
import { isPrinted } from './code-blocks.ts';

test('an output is compared, but for what it leaves out', () => {
  expect(isPrinted('{"a":1,…,"z":"x.y"}\n', '{"a":1,"b":[2],"z":"x.y"}')).toBe(true);
  expect(isPrinted('{"a":1,…,"z":"x.y"}\n', '{"a":1,"b":[2],"z":"xxy"}')).toBe(false);
  expect(isPrinted('2\n4\n', '2\n4\n6\n')).toBe(false);
});
