import assert from 'node:assert/strict';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { keyOfPath } from '../../src/protocol/path-key.ts';
import { type AttemptContext, attemptDelivery } from '../../src/queue/attempt.ts';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { payloadName } from '../../src/spool/recovery.ts';
import { acceptFile, deliver, draft, openSpool, settle } from '../spool/spool-builder.ts';
import { SwitchTarget } from './switch-target.ts';

async function open(t: TestContext) {
  const { spool, stateDir } = await openSpool(t);
  const target = new SwitchTarget();
  const context: AttemptContext = {
    spool,
    target,
    timeoutMs: 5000,
    signal: new AbortController().signal,
    temporaryName: '.incus-upload.new',
    onProgress: () => undefined,
    onFiles: () => undefined,
  };
  const accept = (bytes: string): Promise<JobRecord> => spool.acceptInline(draft(), Buffer.from(bytes));
  const noteLeftover = (sequence: number, name: string): Promise<void> => {
    target.temporaries.add(`c1:/srv/${name}`);
    return spool.temporaries.note({
      ...{ sequence, name },
      ...{ project: 'default', instance: 'c1', path: `/srv/${name}` },
    });
  };
  return { spool, stateDir, target, context, accept, noteLeftover };
}

test('attemptDelivery() notes the temporary file before it delivers and says that it is gone', async (t) => {
  const { spool, target, context, accept } = await open(t);
  const record = await accept('bytes');
  const { outcome, removed } = await attemptDelivery(record, context);
  assert.deepEqual(outcome, { kind: 'delivered', path: '/srv/file' });
  assert.deepEqual(removed, ['.incus-upload.new']);
  assert.equal(target.files.get('c1:/srv/file')?.toString(), 'bytes');
  assert.deepEqual(
    spool.temporaries.of(record.sequence).map(({ path }) => path),
    ['/srv/.incus-upload.new'],
  );
});

test('attemptDelivery() removes what earlier attempts left before it begins', async (t) => {
  const { target, context, accept, noteLeftover } = await open(t);
  const record = await accept('bytes');
  await noteLeftover(record.sequence, 'old-1');
  await noteLeftover(record.sequence, 'old-2');
  await noteLeftover(record.sequence + 1, 'of another job');
  const { removed } = await attemptDelivery(record, context);
  assert.deepEqual(target.calls, ['remove c1:/srv/old-1', 'remove c1:/srv/old-2', 'deliver c1:/srv/file']);
  assert.deepEqual([...removed].sort(), ['.incus-upload.new', 'old-1', 'old-2']);
  assert.deepEqual([...target.temporaries], ['c1:/srv/of another job']);
});

test('attemptDelivery() does not begin while something of an earlier attempt cannot be removed', async (t) => {
  const { target, context, accept, noteLeftover } = await open(t);
  const record = await accept('bytes');
  await noteLeftover(record.sequence, 'old');
  target.removes = false;
  const { outcome, removed } = await attemptDelivery(record, context);
  assert.ok(outcome.kind === 'transient');
  assert.equal(outcome.scope, 'instance');
  assert.equal(outcome.error.code, 'instance_unavailable');
  assert.match(
    outcome.error.message,
    /^c1:\/srv\/old, which an earlier attempt left, cannot be removed; see /,
  );
  assert.deepEqual(removed, []);
  target.reachability = { reachable: false, reason: 'there is no socket' };
  const away = await attemptDelivery(record, context);
  assert.ok(away.outcome.kind === 'transient');
  assert.equal(away.outcome.scope, 'target');
  assert.equal(away.outcome.error.message, 'there is no socket');
  assert.equal(target.files.size, 0);
});

test('attemptDelivery() removes what finished jobs left beside the same file before it begins', async (t) => {
  const { spool, target, context, accept, noteLeftover } = await open(t);
  const [failed, later] = [await accept('failed'), await accept('later')];
  const elsewhere = await spool.acceptInline(draft({ path: '/srv/other' }), Buffer.from('other'));
  await noteLeftover(failed.sequence, 'stranded');
  await noteLeftover(elsewhere.sequence, 'of another file');
  await settle(spool, failed, 'failed');
  await settle(spool, elsewhere, 'cancelled');
  target.removes = false;
  assert.equal((await attemptDelivery(later, context)).outcome.kind, 'transient');
  target.removes = true;
  target.calls.length = 0;
  const { removed } = await attemptDelivery(later, context);
  assert.deepEqual(target.calls, ['remove c1:/srv/stranded', 'deliver c1:/srv/file']);
  assert.deepEqual(removed, ['.incus-upload.new']);
  assert.deepEqual(spool.temporaries.of(failed.sequence), []);
  assert.deepEqual([...target.temporaries], ['c1:/srv/of another file']);
});

test('attemptDelivery() ends early when it is told so while it removes what was left', async (t) => {
  const { target, context, accept, noteLeftover } = await open(t);
  const record = await accept('bytes');
  await noteLeftover(record.sequence, 'old');
  target.removeTemporary = () => new Promise(() => undefined);
  const controller = new AbortController();
  const attempt = attemptDelivery(record, { ...context, signal: controller.signal });
  controller.abort();
  const { outcome, removed } = await attempt;
  assert.ok(outcome.kind === 'transient');
  assert.equal(outcome.error.code, 'cancelled');
  assert.equal(outcome.scope, 'job');
  assert.equal(outcome.temporaryLeft, true);
  assert.deepEqual(removed, []);
});

test('attemptDelivery() never replaces the file of a later job', async (t) => {
  const { spool, target, context, accept } = await open(t);
  const older = await accept('older');
  const later = await accept('later');
  assert.equal((await attemptDelivery(later, context)).outcome.kind, 'delivered');
  await deliver(spool, later);
  const { outcome } = await attemptDelivery(older, context);
  assert.ok(outcome.kind === 'permanent');
  assert.equal(outcome.error.code, 'superseded');
  assert.equal(target.files.get('c1:/srv/file')?.toString(), 'later');
  assert.equal(spool.isOvertaken([keyOfPath(later, '/srv/file')], later.sequence), false);
});

test('attemptDelivery() of a lost payload fails for good and says so', async (t) => {
  const { spool, stateDir, context } = await open(t);
  const record = await acceptFile(spool, draft(), Buffer.from('bytes'));
  await unlink(join(stateDir, 'payloads', payloadName(record.payloadFile)));
  const { outcome } = await attemptDelivery(record, context);
  assert.ok(outcome.kind === 'permanent');
  assert.equal(outcome.error.code, 'payload_lost');
});

test('attemptDelivery() of whatever goes wrong on our side is tried again slowly', async (t) => {
  const { target, context, accept } = await open(t);
  target.deliver = () => Promise.reject(new Error('not expected'));
  const { outcome } = await attemptDelivery(await accept('bytes'), context);
  assert.ok(outcome.kind === 'transient');
  assert.equal(outcome.error.code, 'internal');
  assert.equal(outcome.error.message, 'not expected');
  assert.ok(outcome.slow && outcome.temporaryLeft && outcome.scope === 'job');
});

test('attemptDelivery() says of a failed delivery whether its temporary file is gone', async (t) => {
  const { target, context, accept } = await open(t);
  const record = await accept('bytes');
  target.behave('*', { fail: 'timed_out', temporaryLeft: true });
  assert.deepEqual((await attemptDelivery(record, context)).removed, []);
  target.behave('*', { fail: 'connection_lost' });
  const next = await attemptDelivery(record, { ...context, temporaryName: 'newer' });
  assert.deepEqual(next.removed, ['.incus-upload.new', 'newer']);
});

test('attemptDelivery() of an archive leaves alone what later jobs have delivered, once it is tried again', async (t) => {
  const { spool, target, context } = await open(t);
  const about = { ...draft(), path: '/srv/', extract: 'tar' as const, filesTotal: 2 };
  const archive = await spool.acceptInline(about, Buffer.from('a b'));
  const later = await spool.acceptInline({ ...draft(), path: '/srv/a' }, Buffer.from('later'));
  await deliver(spool, later);
  const { outcome, placedKeys } = await attemptDelivery({ ...archive, attemptsTotal: 1 }, context);
  assert.equal(outcome.kind, 'delivered');
  assert.deepEqual(placedKeys, [keyOfPath(archive, '/srv/b')]);
  assert.ok(target.log.includes('c1:/srv/b') && !target.log.includes('c1:/srv/a'));
});
