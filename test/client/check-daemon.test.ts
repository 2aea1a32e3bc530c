import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkClock, checkInfo } from '../../src/client/check-daemon.ts';
import type { Finding } from '../../src/client/finding.ts';

const GIB = 1024 ** 3;
const JOBS = { queued: 1, delivering: 1, deferred: 0, delivered: 9, failed: 0, cancelled: 1 };
const INFO = {
  version: '1.0.0',
  target: 'incus unix:/run/incus/unix.socket',
  reachable: true,
  unreachable_reason: null,
  unreachable_since: null,
  draining: false,
  limits: { max_upload_size: null, max_queued_jobs: 100, max_uploads: 7, min_free_space: GIB },
  jobs: JOBS,
  free_bytes: 50 * GIB,
};

const found = (findings: readonly Finding[]): string[] =>
  findings.map(({ check, status, message, advice }) => `${check} ${status}: ${message}; ${advice}`);

test('checkInfo() finds nothing where all is well', () => {
  const findings = checkInfo(INFO, '1.0.0');
  assert.deepEqual(
    findings.map(({ check, status, advice }) => [check, status, advice]),
    ['version', 'incus', 'disk', 'queue'].map((check) => [check, 'ok', null]),
  );
});

test('checkInfo() says of each thing that is wrong what to do', () => {
  for (const [change, expected] of [
    [{ version: '0.9.0' }, /^version warning: the client is 1\.0\.0, the daemon 0\.9\.0; install the same/],
    [
      { reachable: false, unreachable_reason: 'Cannot reach Incus: nobody listens on /s; start Incus' },
      /^incus problem: Cannot reach Incus: nobody listens on \/s; files are taken and wait; start Incus$/,
    ],
    [
      { reachable: false, unreachable_reason: 'gone', unreachable_since: 'noon' },
      /^incus problem: gone since noon; .*; see whether Incus runs/,
    ],
    [{ free_bytes: GIB }, /^disk problem: 1\.0 GiB free .* uploads are refused; make room/],
    [{ free_bytes: 1.5 * GIB }, /^disk warning: 1\.5 GiB free .*; make room/],
    [{ draining: true }, /^queue warning: the daemon is stopping; wait/],
    [{ jobs: { ...JOBS, queued: 99 } }, /^queue problem: it is full: 100 jobs of 100; see/],
    [{ jobs: { ...JOBS, queued: 90 } }, /^queue warning: it is nearly full: 91 jobs of 100; see/],
    [
      { jobs: { ...JOBS, deferred: 1 } },
      /^queue warning: 1 job failed and will be tried again; see incus-upload jobs --state deferred/,
    ],
    [
      { jobs: { ...JOBS, failed: 2 } },
      /^queue warning: 2 jobs failed for good; see incus-upload jobs --state failed/,
    ],
  ] as const) {
    const findings = checkInfo({ ...INFO, ...change }, '1.0.0').filter(({ status }) => status !== 'ok');
    assert.equal(findings.length, 1, found(findings).join('\n'));
    assert.match(found(findings)[0] ?? '', expected);
  }
});

test('checkInfo() leaves out what it is not told, as with a token of limited scope or another daemon', () => {
  assert.deepEqual(
    checkInfo({ ...INFO, jobs: null, free_bytes: null }, '1.0.0').map(({ check }) => check),
    ['version', 'incus'],
  );
  assert.deepEqual(checkInfo({}, '1.0.0'), []);
  assert.deepEqual(checkInfo({ limits: 7, jobs: 'many', free_bytes: 'none', version: 1 }, '1.0.0'), []);
});

test('checkClock() compares with the Date header', () => {
  const date = 'Tue, 24 Nov 2026 16:00:00 GMT';
  const theirs = Date.parse(date);
  for (const [offsetMs, expected] of [
    [0, /^clock ok: /],
    [1500, /^clock ok: /],
    [60_000, /^clock warning: it is 1m ahead of that of the daemon; have both set/],
    [-3_600_000, /^clock problem: it is 1h behind that of the daemon; have both set/],
  ] as const) {
    assert.match(found(checkClock(date, theirs + offsetMs)).join(), expected);
  }
  assert.deepEqual(checkClock(undefined, 0), []);
  assert.deepEqual(checkClock('whenever', 0), []);
});
