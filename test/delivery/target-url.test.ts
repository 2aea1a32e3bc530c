import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseTargetUrl } from '../../src/delivery/target-url.ts';

describe('parseTargetUrl()', () => {
  it('reads every kind of target', () => {
    const cases: [string, object][] = [
      ['incus', { kind: 'incus' }],
      ['unix:/run/incus/unix.socket', { kind: 'unix', path: '/run/incus/unix.socket' }],
      ['unix:///run/incus/unix.socket', { kind: 'unix', path: '/run/incus/unix.socket' }],
      ['dir:/srv/instances', { kind: 'directory', path: '/srv/instances' }],
      ['https://host:8443', { kind: 'https', host: 'host', port: 8443 }],
      ['https://host', { kind: 'https', host: 'host', port: 8443 }],
      ['https://host:443/', { kind: 'https', host: 'host', port: 443 }],
      ['https://[2001:db8::1]:9443', { kind: 'https', host: '2001:db8::1', port: 9443 }],
    ];
    for (const [text, expected] of cases) assert.deepEqual(parseTargetUrl(text), expected, text);
  });

  it('refuses all others, saying what is expected', () => {
    const bad = [
      '',
      'Incus',
      'unix',
      'unix:',
      'unix:relative',
      'dir:',
      'dir:.',
      'http://host',
      'https://',
      'ftp:/x',
      '/run/x',
    ];
    for (const text of [...bad, 'https://host/path', 'https://user@host', 'https://host?x', 'unix:/a\0b']) {
      assert.throws(
        () => parseTargetUrl(text),
        (error) => {
          assert.ok(error instanceof Error && 'code' in error && error.code === 'config_invalid', text);
          assert.match(error.message, /expected incus, unix:PATH/);
          return true;
        },
      );
    }
  });
});
