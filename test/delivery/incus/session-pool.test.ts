import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { SessionPool } from '../../../src/delivery/incus/session-pool.ts';
import { SftpSession } from '../../../src/delivery/incus/sftp-session.ts';
import { createGate, until } from '../delivery-builder.ts';

function createSession(): SftpSession {
  return new SftpSession(
    new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() }),
    Buffer.alloc(0),
  );
}

function createPool() {
  const opened: SftpSession[] = [];
  const pool = new SessionPool(async () => {
    const session = createSession();
    opened.push(session);
    return session;
  });
  return { pool, opened };
}

const lease = (pool: SessionPool, sharing: 'shared' | 'alone', instance = 'c1') =>
  pool.lease('default', instance, 1000, sharing);

describe('SessionPool', () => {
  it('lease() lets small files of one instance share one session, from its opening on', async () => {
    const { pool, opened } = createPool();
    const leases = await Promise.all(Array.from({ length: 50 }, () => lease(pool, 'shared')));
    assert.equal(opened.length, 1);
    assert.ok(leases.every(({ session }) => session === opened[0]));
    await lease(pool, 'shared', 'c2');
    assert.equal(opened.length, 2);
    pool.close();
  });

  it('lease() gives a large file a session of its own, an idle one if there is one', async () => {
    const { pool, opened } = createPool();
    const shared = await lease(pool, 'shared');
    const first = await lease(pool, 'alone');
    const second = await lease(pool, 'alone');
    assert.equal(new Set([shared.session, first.session, second.session]).size, 3);
    first.release(false);
    assert.equal((await lease(pool, 'alone')).session, first.session);
    second.release(false);
    shared.release(false);
    assert.ok([shared.session, second.session].includes((await lease(pool, 'shared')).session));
    assert.equal(opened.length, 3);
    pool.close();
  });

  it('release() closes a session that stays idle', async () => {
    const { pool, opened } = createPool();
    const { session, release } = await lease(pool, 'shared');
    release(false);
    release(false);
    assert.ok(session.alive);
    const idleSince = performance.now();
    await until('it is closed', () => !session.alive);
    assert.ok(performance.now() - idleSince < 1000);
    await lease(pool, 'shared');
    assert.equal(opened.length, 2);
    pool.close();
  });

  it('release() keeps a broken session for those who use it, and gives it to nobody else', async () => {
    const { pool, opened } = createPool();
    const [one, other] = await Promise.all([lease(pool, 'shared'), lease(pool, 'shared')]);
    one.release(true);
    assert.ok(other.session.alive);
    assert.notEqual((await lease(pool, 'shared')).session, other.session);
    other.release(false);
    assert.ok(!other.session.alive);
    assert.equal(opened.length, 2);
    pool.close();
  });

  it('lease() fails for all who wait when opening fails, and tries again for the next', async () => {
    let tries = 0;
    const gate = createGate();
    const pool = new SessionPool(async () => {
      tries += 1;
      await gate.promise;
      if (tries === 1) throw new Error('refused');
      return createSession();
    });
    const waiting = [lease(pool, 'shared'), lease(pool, 'shared')].map((one) =>
      assert.rejects(one, /refused/),
    );
    gate.open();
    await Promise.all(waiting);
    assert.ok((await lease(pool, 'shared')).session.alive);
    assert.equal(tries, 2);
    pool.close();
  });

  it('lease() gives no session that has ended', async () => {
    const { pool, opened } = createPool();
    const first = await lease(pool, 'shared');
    first.session.destroy();
    assert.ok((await lease(pool, 'shared')).session.alive);
    assert.equal(opened.length, 2);
    pool.close();
  });

  it('close() ends every session, also one that is still opening', async () => {
    const gate = createGate();
    const sessions: SftpSession[] = [];
    const pool = new SessionPool(async (_project, instance) => {
      if (instance === 'late') await gate.promise;
      const session = createSession();
      sessions.push(session);
      return session;
    });
    await lease(pool, 'shared');
    const late = lease(pool, 'shared', 'late');
    pool.close();
    gate.open();
    await late.catch(() => {});
    await until('all are closed', () => sessions.length === 2 && sessions.every(({ alive }) => !alive));
    await assert.rejects(lease(pool, 'shared'));
  });
});
