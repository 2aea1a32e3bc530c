import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearestName, nearestNames } from '../../src/base/nearest-name.ts';

test('nearestName() finds what was meant, and nothing that was not', () => {
  assert.equal(nearestName('concurency', ['listen', 'concurrency']), 'concurrency');
  assert.equal(nearestName('zzz', ['listen', 'concurrency']), undefined);
  assert.equal(nearestName('c9', ['db', 'c1']), 'c1');
  assert.equal(nearestName('x', ['a', 'b']), undefined);
  assert.equal(nearestName('', ['a']), undefined);
});

test('nearestNames() gives the nearest first, then longer names, three at most', () => {
  assert.deepEqual(nearestNames('wbe', ['db', 'web', 'wbex']), ['wbex', 'web']);
  assert.deepEqual(nearestNames('web', ['prod-web-0001', 'web-0001', 'db']), ['web-0001', 'prod-web-0001']);
  assert.deepEqual(nearestNames('web1', ['web2', 'web3', 'web4', 'web5']), ['web2', 'web3', 'web4']);
  assert.deepEqual(nearestNames('web', []), []);
});
