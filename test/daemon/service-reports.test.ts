import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { formatQueueStatus } from '../../src/daemon/queue-status.ts';
import { ServiceReports, type ServiceReportsOptions } from '../../src/daemon/service-reports.ts';

const DEADLINE_MS = 20_000;

/** Reports to a `systemd-notify` that writes down what it is told, with a watchdog that wants to be fed every 5 ms. */
function openReports(
  t: TestContext,
  options: Pick<ServiceReportsOptions, 'prove'>,
): { reports: ServiceReports; told: () => string } {
  const directory = mkdtempSync(join(tmpdir(), 'incus-upload-reports-'));
  const file = join(directory, 'told');
  const program = join(directory, 'systemd-notify');
  writeFileSync(program, `#!/bin/sh\nfor line; do echo "$line"; done >> ${file}\n`);
  chmodSync(program, 0o755);
  let isOver = false;
  const reports = new ServiceReports({
    env: { NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '10000', PATH: `${directory}:/usr/bin:/bin` },
    pid: process.pid,
    status: () => formatQueueStatus({ queued: 1, delivering: 0, deferred: 0 }, undefined),
    // What is still being told when the test ends finds nobody.
    onError: (problem) => assert.ok(isOver, problem),
    ...options,
  });
  t.after(async () => {
    reports.stop();
    isOver = true;
    rmSync(directory, { recursive: true, maxRetries: 10 });
  });
  return { reports, told: () => (existsSync(file) ? readFileSync(file, 'utf8') : '') };
}

const count = (text: string, word: string): number => text.split(word).length - 1;

async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + DEADLINE_MS; !condition(); await delay(5))
    assert.ok(Date.now() < end, 'in time');
}

test('ServiceReports tells that it is ready, with the queue, then that it is alive', async (t) => {
  let proofs = 0;
  const { reports, told } = openReports(t, {
    prove: () => {
      proofs += 1;
      return proofs === 2 ? Promise.reject(new Error('disk full')) : Promise.resolve();
    },
  });
  await reports.ready();
  assert.equal(told(), 'READY=1\nSTATUS=1 job queued (0 being delivered, 0 to be tried again)\n');
  await until(() => count(told(), 'WATCHDOG=1') >= 3);
  assert.ok(proofs >= 3, 'each time the journal is asked');
  reports.stopping();
  await until(() => told().includes('STOPPING=1'));
});

test('ServiceReports falls silent while the journal does not answer', async (t) => {
  let answer: () => void = assert.fail;
  const { reports, told } = openReports(t, {
    prove: () =>
      new Promise<void>((resolve) => {
        answer = resolve;
      }),
  });
  await reports.ready();
  await until(() => answer !== assert.fail);
  await delay(100);
  assert.equal(count(told(), 'WATCHDOG=1'), 0);
  answer();
  await until(() => count(told(), 'WATCHDOG=1') === 1);
});

test('formatQueueStatus() counts what is unfinished and says why deliveries wait', () => {
  assert.equal(formatQueueStatus({ queued: 0, delivering: 0, deferred: 0 }, undefined), '0 jobs queued');
  assert.equal(
    formatQueueStatus({ queued: 4, delivering: 2, deferred: 1 }, 'connection refused'),
    '7 jobs queued (2 being delivered, 1 to be tried again); deliveries wait: connection refused',
  );
});
