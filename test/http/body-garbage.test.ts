import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countForGarbage } from '../../src/http/body-garbage.ts';

const PIECE_BYTES = 64 << 10;
const MIB = 1 << 20;

test('countForGarbage() keeps what is garbage of a large body small', () => {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let received = 0; received < 256 * MIB; received += PIECE_BYTES) {
    const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
    countForGarbage(piece.length);
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  assert.ok(most < 16 * MIB, `${most} bytes were held at once`);
});
