import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openTarget } from '../../src/delivery/open-target.ts';
import { createInlineSource } from '../../src/delivery/payload-source.ts';
import type { Target, TargetEvent } from '../../src/delivery/target.ts';
import { assertFailed, temporariesBelow } from '../delivery/contract-world.ts';
import { createDelivery, createReadSource, patternBytes, until } from '../delivery/delivery-builder.ts';
import { runTargetContract } from '../delivery/target-contract.ts';
import { incusSkipReason, openRealIncus, type RealIncus } from '../support/incus.ts';

const skip = incusSkipReason();

let incus: RealIncus;

describe('A real Incus', { skip: skip ?? false }, () => {
  before(async () => {
    incus = await openRealIncus();
  });
  after(async () => {
    await incus?.close();
  });

  runTargetContract('A container', async () => {
    const target = openTarget(`unix:${incus.socketPath}`);
    const instance = `contract-${process.pid}`;
    await incus.incus('launch', '-q', 'bb', instance);
    return {
      target,
      project: 'default',
      instance,
      host: (path) => incus.hostPath(instance, path),
      look: async (path) => {
        const line = await incus.ask(instance, 'stat', '-c', '%a %u %g', path);
        const [mode, uid, gid] = line.trim().split(' ');
        return { mode: Number.parseInt(mode ?? '', 8), uid: Number(uid), gid: Number(gid) };
      },
      keepsOwner: true,
      // Depends on the pkg/sftp that this Incus was built with.
      keepsSpecialBits: false,
      close: async () => {
        await target.close();
        await incus.incus('delete', '-f', instance);
      },
    };
  });

  describe('IncusTarget', () => {
    let target: Target;
    const instance = `states-${process.pid}`;
    const host = (path: string) => incus.hostPath(instance, path);

    before(async () => {
      target = openTarget(`unix:${incus.socketPath}`);
      await incus.incus('launch', '-q', 'bb', instance);
    });
    after(async () => {
      await target?.close();
      await incus.incus('delete', '-f', instance);
    });

    const deliver = (path: string, bytes: Buffer, inline = true) =>
      target.deliver(
        createDelivery({
          instance,
          path,
          payload: inline ? createInlineSource(bytes) : createReadSource(bytes),
        }),
      );

    it('deliver() blocks no snapshot a second later', { timeout: 30_000 }, async () => {
      for (const inline of [true, false]) {
        const outcome = await deliver('/opt/snapshot', patternBytes(100_000), inline);
        assert.equal(outcome.kind, 'delivered', JSON.stringify(outcome));
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const startedAt = performance.now();
      await incus.incus('snapshot', 'create', instance, 'after-delivery');
      assert.ok(performance.now() - startedAt < 5000);
    });

    it('deliver() works on a frozen container', { timeout: 30_000 }, async () => {
      await incus.incus('pause', instance);
      try {
        assert.equal((await deliver('/opt/frozen', Buffer.from('frozen'))).kind, 'delivered');
        assert.equal(fs.readFileSync(host('/opt/frozen'), 'utf8'), 'frozen');
      } finally {
        await incus.incus('start', instance);
      }
    });

    it('deliver() works on a stopped container, and events tell when it started', {
      timeout: 60_000,
    }, async () => {
      const events: TargetEvent[] = [];
      const stop = target.watch((event) => events.push(event));
      try {
        await incus.incus('stop', '-f', instance);
        const outcome = await deliver('/opt/stopped', patternBytes(300_000), false);
        assert.equal(outcome.kind, 'delivered', JSON.stringify(outcome));
        assert.ok(fs.readFileSync(host('/opt/stopped')).equals(patternBytes(300_000)));
        await new Promise((resolve) => setTimeout(resolve, 1000));
        events.length = 0;
        await incus.incus('start', instance);
        await until('the start is told', () =>
          events.some((event) => event.kind === 'instance' && event.instance === instance),
        );
      } finally {
        stop();
      }
    });

    it('deliver() tells a full disk, and leaves nothing there', async () => {
      fs.mkdirSync(host('/mnt/small'), { recursive: true });
      await incus.incus(
        'exec',
        instance,
        '--',
        'mount',
        '-t',
        'tmpfs',
        '-o',
        'size=1m',
        'tmpfs',
        '/mnt/small',
      );
      const list = () => incus.ask(instance, 'ls', '-a', '/mnt/small');
      for (const inline of [true, false]) {
        const outcome = await deliver('/mnt/small/large', patternBytes(2 * 1024 * 1024), inline);
        assertFailed(outcome, 'transient', 'instance_disk_full');
        assert.ok(outcome.kind === 'transient' && outcome.slow && outcome.scope === 'job');
        assert.equal(await list(), '.\n..\n');
      }
      const fitting = await deliver('/mnt/small/fitting', patternBytes(1000));
      assert.equal(fitting.kind, 'delivered', JSON.stringify(fitting));
    });

    it('deliver() says what virtual file systems, mount points and foreign owners mean', async () => {
      assertFailed(await deliver('/proc/file', Buffer.from('x')), 'permanent', 'permission_denied');
      assertFailed(await deliver('/sys/file', Buffer.from('x')), 'permanent', 'permission_denied');
      assertFailed(await deliver('/dev/null', Buffer.from('x')), 'permanent', 'permission_denied');
      assertFailed(
        await target.deliver(createDelivery({ instance, path: '/opt/owned', uid: 4_000_000_000 })),
        'permanent',
        'permission_denied',
      );
      assert.deepEqual(temporariesBelow(host('/')), []);
    });

    it('deliver() ends when the container is stopped in the middle', { timeout: 60_000 }, async () => {
      let reads = 0;
      let stopping: Promise<string> | undefined;
      const bytes = patternBytes(1024 * 1024);
      const outcome = await target.deliver(
        createDelivery({
          instance,
          path: '/opt/cut',
          timeoutMs: 10_000,
          payload: createReadSource(bytes, {
            committed: new Promise(() => {}),
            read: async (buffer) => {
              reads += 1;
              if (reads === 5) stopping = incus.incus('stop', '-f', instance);
              if (reads > 5) await new Promise((resolve) => setTimeout(resolve, 50));
              return reads > 60 ? 0 : bytes.copy(buffer);
            },
          }),
          signal: AbortSignal.timeout(15_000),
        }),
      );
      await stopping;
      assert.equal(outcome.kind, 'transient', JSON.stringify(outcome));
      await incus.incus('start', instance);
      await until('the temporary file is gone', async () => {
        for (const path of temporariesBelow(host('/opt'))) {
          await target.removeTemporary('default', instance, path.slice(host('/').length - 1));
        }
        return temporariesBelow(host('/opt')).length === 0;
      });
    });

    it('deliver() says which socket is closed to it', { timeout: 30_000 }, async () => {
      // Nobody, who is not in the socket's group.
      const user = 65534;
      const program = `
        import { openTarget } from './src/delivery/open-target.ts';
        import { createDelivery } from './test/delivery/delivery-builder.ts';
        process.setgroups?.([]);
        process.setgid?.(${user});
        process.setuid?.(${user});
        const target = openTarget(${JSON.stringify(`unix:${incus.socketPath}`)});
        console.log(JSON.stringify(await target.deliver(createDelivery())));`;
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--import', 'tsx', '--input-type=module', '--eval', program],
        { cwd: fileURLToPath(new URL('../..', import.meta.url)) },
      );
      const outcome = JSON.parse(stdout);
      assertFailed(outcome, 'transient', 'target_unreachable');
      assert.equal(outcome.scope, 'target');
      assert.ok(outcome.error.message.includes(incus.socketPath), outcome.error.message);
      assert.match(outcome.error.message, /group/);
    });

    const forgetClients = async () => {
      const list = await incus.incus('config', 'trust', 'list', '-f', 'csv', '-c', 'f');
      for (const fingerprint of list.split('\n').filter((line) => line !== '')) {
        await incus.incus('config', 'trust', 'remove', fingerprint);
      }
    };

    it('deliver() works over HTTPS with a client certificate and the pinned server', {
      timeout: 60_000,
    }, async () => {
      const client = join(incus.directory, 'sandbox-client');
      await incus.incus('remote', 'generate-certificate').catch(() => '');
      const port = 20_000 + (process.pid % 20_000);
      await incus.incus('config', 'set', 'core.https_address', `127.0.0.1:${port}`);
      const url = `https://127.0.0.1:${port}`;
      const serverCert = join(incus.directory, 'server.crt');
      try {
        const certificates = {
          clientCert: join(client, 'client.crt'),
          clientKey: join(client, 'client.key'),
        };
        const remote = openTarget(url, { ...certificates, serverCert });
        await forgetClients();
        const stranger = await remote.probe(5000);
        assert.ok(!stranger.reachable && /trust/.test(stranger.reason), JSON.stringify(stranger));
        await incus.incus(
          'config',
          'trust',
          'add-certificate',
          '--name',
          `test-${process.pid}`,
          join(client, 'client.crt'),
        );
        const events: TargetEvent[] = [];
        const stop = remote.watch((event) => events.push(event));
        const bytes = patternBytes(3_000_000);
        const outcome = await remote.deliver(
          createDelivery({ instance, path: '/opt/remote', payload: createReadSource(bytes) }),
        );
        assert.equal(outcome.kind, 'delivered', JSON.stringify(outcome));
        assert.ok(fs.readFileSync(host('/opt/remote')).equals(bytes));
        assert.deepEqual(await remote.probe(5000), { reachable: true });
        await until('events come over TLS', async () => {
          await incus.incus('config', 'set', instance, 'user.touched', String(Math.random()));
          return events.some((event) => event.kind === 'instance' && event.instance === instance);
        });
        stop();
        await remote.close();

        // Not pinned, and signed by nobody.
        const untrusted = openTarget(url, { ...certificates, env: { INCUS_CONF: '/nonexistent' } });
        const refused = await untrusted.deliver(createDelivery({ instance }));
        assertFailed(refused, 'transient', 'target_unreachable');
        assert.ok(refused.kind === 'transient' && refused.scope === 'target');
        await untrusted.close();
      } finally {
        await incus.incus('config', 'unset', 'core.https_address');
        await forgetClients();
      }
    });
  });
});
