import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ballast } from '../../src/spool/ballast.ts';
import { diskProblem, fillDisk, mountDisk } from './small-disk.ts';
import { makeDirectory } from './spool-builder.ts';

const MIB = 1 << 20;
const EIO = 5;

function failure(code: number | string): Error {
  return Object.assign(new Error('Commit failed'), { code });
}

test('Ballast.isDiskFull() knows a full disk, a used-up quota and a full map, by number and by name', async (t) => {
  const ballast = new Ballast(await makeDirectory(t));
  for (const code of [28, 122, -30792, 'ENOSPC', 'EDQUOT'])
    assert.ok(ballast.isDiskFull(failure(code)), `${code}`);
  for (const error of [failure(EIO), failure('EIO'), failure('EACCES'), new Error('no code')])
    assert.ok(!ballast.isDiskFull(error), 'there is room on the disk');
});

test('Ballast.isDiskFull() takes a failed write for a full disk when there is hardly any room', {
  skip: diskProblem('tmpfs'),
}, (t) => {
  const directory = mountDisk(t, 'tmpfs', 32 * MIB);
  const ballast = new Ballast(directory);
  assert.ok(!ballast.isDiskFull(failure(EIO)));
  const makeRoom = fillDisk(directory);
  assert.ok(ballast.isDiskFull(failure(EIO)));
  assert.ok(ballast.isDiskFull(failure('EIO')));
  assert.ok(!ballast.isDiskFull(failure('EACCES')));
  makeRoom();
  assert.ok(!ballast.isDiskFull(failure(EIO)));
});

test('Ballast.throwOff() says whether there was something, and restore() takes it on again', async (t) => {
  const directory = await makeDirectory(t);
  const path = join(directory, 'ballast');
  const ballast = new Ballast(directory);
  // A ballast of another size is what a crash leaves of one.
  writeFileSync(path, 'half');
  await ballast.takeOn();
  assert.equal(statSync(path).size, 2 * MIB);
  assert.equal(await ballast.throwOff(), true);
  assert.equal(await ballast.throwOff(), false);
  assert.ok(!existsSync(path));

  ballast.restore(Date.now());
  const deadlineMs = Date.now() + 30_000;
  while (!existsSync(path) || statSync(path).size < 2 * MIB) {
    assert.ok(Date.now() < deadlineMs, 'it does not come back');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});
