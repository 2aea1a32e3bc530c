import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientConfigPath } from '../../src/client/config-path.ts';
import { parseFingerprint } from '../../src/client/trust.ts';

const HEX = '0123456789abcdef'.repeat(4);
const PAIRS = HEX.toUpperCase().replace(/..(?!$)/g, '$&:');

test('parseFingerprint() takes what incus, openssl and browsers print', () => {
  for (const text of [
    HEX,
    HEX.toUpperCase(),
    PAIRS,
    ` ${PAIRS}\n`,
    `SHA256 Fingerprint=${PAIRS}`,
    `sha256:${HEX}`,
  ]) {
    assert.equal(parseFingerprint(text), HEX, text);
  }
  assert.equal(parseFingerprint(`sha256 Fingerprint=${PAIRS}`), HEX);
});

test('parseFingerprint() takes nothing else', () => {
  for (const text of ['', 'y', HEX.slice(1), `${HEX}0`, HEX.replace('0', 'g'), `SHA1 Fingerprint=${PAIRS}`]) {
    assert.equal(parseFingerprint(text), undefined, text);
  }
});

test('clientConfigPath() follows the XDG Base Directory Specification', () => {
  for (const [env, expected] of [
    [{ XDG_CONFIG_HOME: '/c', HOME: '/h' }, '/c/incus-upload/config.yml'],
    [{ XDG_CONFIG_HOME: 'relative', HOME: '/h' }, '/h/.config/incus-upload/config.yml'],
    [{ XDG_CONFIG_HOME: '', HOME: '/h' }, '/h/.config/incus-upload/config.yml'],
    [{ HOME: '' }, undefined],
    [{}, undefined],
  ] as const) {
    assert.equal(clientConfigPath(env), expected);
  }
});
