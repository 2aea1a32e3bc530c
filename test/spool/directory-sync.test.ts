import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type TestContext, test } from 'node:test';
import { DirectorySync } from '../../src/spool/directory-sync.ts';
import { draft, makeDirectory, openSpool } from './spool-builder.ts';

type Callback = (error: Error | null) => void;

/** Holds every fsync until the test lets it end. */
function holdFsync(t: TestContext): Callback[] {
  const held: Callback[] = [];
  const real = fs.fsync;
  Object.assign(fs, { fsync: (_fd: number, callback: Callback) => void held.push(callback) });
  syncBuiltinESMExports();
  t.after(() => {
    Object.assign(fs, { fsync: real });
    syncBuiltinESMExports();
  });
  return held;
}

test('DirectorySync.sync() is never answered by a sync that began before the call', async (t) => {
  const held = holdFsync(t);
  const names = await DirectorySync.open(await makeDirectory(t));
  const order: string[] = [];
  const first = names.sync().then(() => order.push('first'));
  const others = [1, 2, 3].map((n) => names.sync().then(() => order.push(`other ${n}`)));
  assert.equal(held.length, 1);
  held[0]?.(null);
  await first;
  assert.deepEqual(order, ['first']);
  assert.equal(held.length, 2, 'those that came meanwhile share one sync');
  held[1]?.(null);
  await Promise.all(others);
  assert.equal(order.length, 4);
  await names.close();
});

test('DirectorySync.sync() tells only those whom a failed sync concerns', async (t) => {
  const held = holdFsync(t);
  const names = await DirectorySync.open(await makeDirectory(t));
  const first = assert.rejects(names.sync(), /broken/);
  const second = names.sync();
  held[0]?.(new Error('broken'));
  await first;
  held[1]?.(null);
  await second;
  await names.close();
});

test('DirectorySync syncs a real directory', async (t) => {
  const names = await DirectorySync.open(await makeDirectory(t));
  await Promise.all([names.sync(), names.sync(), names.sync()]);
  void names.sync();
  await names.close();
});

test('Spool.acceptFile() accepts no payload whose name is not on stable storage', async (t) => {
  const { spool } = await openSpool(t);
  const held = holdFsync(t);
  const upload = await spool.openUpload();
  upload.writer.write(Buffer.from('bytes'), () => undefined);
  await upload.writer.finish();
  let accepted = false;
  const accepting = spool.acceptFile(draft(), upload).then(() => {
    accepted = true;
  });
  for (const path of ['/a', '/b']) await spool.acceptInline(draft({ path }), Buffer.from('x'));
  assert.equal(accepted, false);
  held[0]?.(null);
  await accepting;
  await upload.writer.close();
});
