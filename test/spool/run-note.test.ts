import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Spool } from '../../src/spool/spool.ts';
import { openSpool, spoolOptions } from './spool-builder.ts';

test('every start counts as a run', async (t) => {
  const made = await openSpool(t);
  assert.equal(made.spool.run, 1);
  assert.equal((await made.reopen()).run, 2);
  assert.equal((await made.crash()).run, 3);
});

test('only a new boot after a run that was not ended counts as a power cut', async (t) => {
  const made = await openSpool(t);
  assert.equal(made.spool.afterPowerCut, false);
  assert.equal((await made.crash()).afterPowerCut, false, 'the daemon was killed');
  assert.equal((await made.reopen({ bootId: 'boot-2' })).afterPowerCut, false, 'the host was rebooted');
  assert.equal((await made.crash({ bootId: 'boot-3' })).afterPowerCut, true);
  assert.equal((await made.crash({ bootId: 'boot-3' })).afterPowerCut, false);
});

test('Spool.open() refuses a state directory of another format', async (t) => {
  const made = await openSpool(t);
  await made.spool.journal.write(() => made.spool.journal.meta.put('format', Buffer.from('3')));
  await made.spool.close();
  await assert.rejects(Spool.open(spoolOptions(made.stateDir)), {
    code: 'config_invalid',
    message: /has format 3, this program knows format 2/,
  });
  // What was refused lets go of the directory.
  await assert.rejects(Spool.open(spoolOptions(made.stateDir)), { message: /format 3/ });
});
