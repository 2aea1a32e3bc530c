import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DeadlineError, StoppedError } from '../../../src/delivery/deadline.ts';
import { classify, explain, systemCodeOfStatus } from '../../../src/delivery/incus/classify.ts';
import { ConnectionError, IncusApiError, SftpStatusError } from '../../../src/delivery/incus/seen-errors.ts';
import { MalformedPacketError } from '../../../src/delivery/incus/sftp-packet.ts';

const permanent = (code: string) => ({ code, kind: 'permanent', scope: 'job', slow: false });
const transient = (code: string, scope: string, slow = false) => ({ code, kind: 'transient', scope, slow });

const API: [number, string, object][] = [
  [404, 'Failed to fetch instance "a" in project "b": Instance not found', permanent('instance_not_found')],
  [404, 'Instance not found', permanent('instance_not_found')],
  [404, 'Project not found', permanent('project_not_found')],
  [404, 'not found', permanent('instance_not_found')],
  [400, 'Missing or invalid upgrade header', permanent('bad_request')],
  [401, 'unauthorized', permanent('permission_denied')],
  [403, 'not authorized', permanent('permission_denied')],
  [503, 'Shutting down', transient('target_unreachable', 'target')],
  [503, 'Daemon not yet started', transient('target_unreachable', 'target')],
  [500, 'Missing event connection with target cluster member', transient('instance_unavailable', 'instance')],
  [500, 'Instance is not running', transient('instance_unavailable', 'instance')],
  [500, "VM agent isn't currently running", transient('instance_unavailable', 'instance')],
  [
    500,
    'dial unix /run/x/forkfile.sock: connect: connection reset by peer',
    transient('connection_lost', 'instance'),
  ],
  [
    500,
    'dial unix /run/x/forkfile.sock: connect: no such file or directory',
    transient('instance_unavailable', 'instance'),
  ],
  [500, 'anything', transient('instance_unavailable', 'instance')],
  [502, 'bad gateway', transient('instance_unavailable', 'instance')],
  [418, 'anything', transient('instance_unavailable', 'instance')],
];

const STATUS: [number, string, object][] = [
  [2, 'open /a: no such file or directory', permanent('parent_missing')],
  [3, 'open /a: permission denied', permanent('permission_denied')],
  [3, 'open /a: operation not permitted', permanent('permission_denied')],
  [4, 'open /a: is a directory', permanent('destination_is_directory')],
  [4, 'rename /a /b: file exists', permanent('destination_is_directory')],
  [4, 'open /a: not a directory', permanent('parent_missing')],
  [4, 'open /a: too many levels of symbolic links', permanent('parent_missing')],
  [4, 'open /a: file name too long', permanent('name_too_long')],
  [4, 'chown /a: invalid argument', permanent('permission_denied')],
  [4, 'open /a: read-only file system', permanent('permission_denied')],
  [4, 'rename /a /b: device or resource busy', permanent('permission_denied')],
  [4, 'rename /a /b: invalid cross-device link', permanent('permission_denied')],
  [4, 'write /a: file too large', permanent('too_large')],
  [4, 'write /a: no space left on device', transient('instance_disk_full', 'job', true)],
  [4, 'write /a: disk quota exceeded', transient('instance_disk_full', 'job', true)],
  [4, 'no space left on device', transient('instance_disk_full', 'job', true)],
  [4, 'open /a: text file busy', transient('instance_unavailable', 'job')],
  [4, 'write /a: input/output error', transient('instance_unavailable', 'job')],
  [4, 'something new', transient('instance_unavailable', 'job')],
  [4, '', transient('instance_unavailable', 'job')],
  [8, 'unsupported', transient('instance_unavailable', 'job')],
  [6, 'no connection', transient('connection_lost', 'instance')],
  [7, 'connection lost', transient('connection_lost', 'instance')],
];

describe('classify()', () => {
  for (const [status, message, expected] of API) {
    it(`knows the API's ${status} ${message}`, () => {
      assert.deepEqual(classify(new IncusApiError(status, message)), expected);
    });
  }

  for (const [status, text, expected] of STATUS) {
    it(`knows the SFTP status ${status} ${text}`, () => {
      assert.deepEqual(classify(new SftpStatusError('open', status, text)), expected);
    });
  }

  it('takes what is missing after the file was opened for something that comes back', () => {
    const error = new SftpStatusError('rename', 2, 'rename /a /b: no such file or directory');
    assert.deepEqual(classify(error), transient('instance_unavailable', 'job'));
  });

  it('is not misled by the words of a path', () => {
    const path = '/no space left on device: is a directory';
    const error = new SftpStatusError('open', 4, `open ${path}: not a directory`);
    assert.equal(systemCodeOfStatus(error), 'ENOTDIR');
    assert.equal(systemCodeOfStatus(new SftpStatusError('open', 4, `open ${path}`)), 'EISDIR');
  });

  it('tells Incus that is away from an instance that is', () => {
    for (const code of ['ECONNREFUSED', 'ENOENT', 'EACCES', 'EAGAIN', 'ENOTFOUND', 'CERT_HAS_EXPIRED']) {
      const error = new ConnectionError('connect', code, Object.assign(new Error(code), { code }));
      assert.deepEqual(classify(error), transient('target_unreachable', 'target'));
    }
    for (const phase of ['upgrade', 'version', 'session'] as const) {
      assert.deepEqual(classify(new ConnectionError(phase, 'x')), transient('connection_lost', 'instance'));
    }
    assert.deepEqual(classify(new MalformedPacketError('x')), transient('connection_lost', 'instance'));
  });

  it('tells which deadline was missed', () => {
    assert.deepEqual(classify(new DeadlineError('connect', 1)), transient('timed_out', 'target'));
    for (const step of ['answer', 'version', 'write', 'rename']) {
      assert.deepEqual(classify(new DeadlineError(step, 1)), transient('timed_out', 'instance'));
    }
  });

  it('blames nobody else for a stop or a mistake', () => {
    assert.deepEqual(classify(new StoppedError()), transient('cancelled', 'job'));
    assert.deepEqual(classify(new TypeError('x')), transient('internal', 'job'));
  });
});

describe('explain()', () => {
  const connectError = (code: string) =>
    new ConnectionError('connect', `connect ${code}`, Object.assign(new Error(code), { code }));

  it('names the socket and what to do', () => {
    assert.match(explain(connectError('EACCES'), '/run/s'), /\/run\/s.*group/);
    assert.match(explain(connectError('ENOENT'), '/run/s'), /no socket \/run\/s/);
    assert.match(explain(connectError('ECONNREFUSED'), '/run/s'), /\/run\/s; start Incus/);
    assert.match(explain(connectError('EAGAIN'), '/run/s'), /\/run\/s/);
    assert.match(explain(connectError('ENOTFOUND'), undefined), /Cannot reach Incus/);
  });

  it('leaves other messages as they are', () => {
    assert.equal(explain(new IncusApiError(404, 'Project not found'), '/run/s'), 'Project not found');
  });
});
