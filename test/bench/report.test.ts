import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeCommand } from './report.ts';

test('describeCommand() leaves out where the files went', () => {
  assert.equal(describeCommand([]), 'npm run bench');
  assert.equal(describeCommand(['--json', 'a.json', '--only', '1', '--dir=b']), 'npm run bench -- --only 1');
  assert.equal(describeCommand(['--quick', '--json=a.json']), 'npm run bench -- --quick');
});
