import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyOfPath, pathKeys } from '../../src/protocol/path-key.ts';

test('keyOfPath() is the first 52 bits of the SHA-256, as it stands in journals', () => {
  assert.equal(keyOfPath({ project: 'default', instance: 'c1' }, '/opt/file'), 1015831090615608);
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string({ unit: 'binary' }), (project, instance, path) => {
      const hash = createHash('sha256').update(`${project}\0${instance}\0${path}`).digest();
      const key = hash.readUInt32LE(0) * 2 ** 20 + (hash.readUInt32LE(4) >>> 12);
      assert.equal(keyOfPath({ project, instance }, path), key);
      assert.ok(Number.isSafeInteger(key));
    }),
  );
});

test('pathKeys() has a file, and what it would be inside of a directory of that name', () => {
  const at = {
    project: 'default',
    instance: 'c1',
    extract: null,
    uid: 0,
    gid: 0,
    mode: 0o644,
    createDirs: true,
  };
  const key = (path: string) => keyOfPath(at, path);
  assert.deepEqual(pathKeys({ ...at, path: '/a/b', sourceName: 'c' }), [key('/a/b'), key('/a/b/c')]);
  assert.deepEqual(pathKeys({ ...at, path: '/a/b/', sourceName: 'c' }), [key('/a/b/c')]);
  assert.deepEqual(pathKeys({ ...at, path: '/a/b', sourceName: '' }), [key('/a/b')]);
  assert.deepEqual(pathKeys({ ...at, path: '/a/b', sourceName: 'c', extract: 'tar' }), []);
});
