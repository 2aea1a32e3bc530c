/** Archives into a real container: what the contract of targets cannot make everywhere. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { openTarget } from '../../src/delivery/open-target.ts';
import type { Target } from '../../src/delivery/target.ts';
import { temporariesBelow } from '../delivery/contract-world.ts';
import { createArchive, createTreeDelivery } from '../delivery/tree-builder.ts';
import { incusSkipReason, openRealIncus, type RealIncus } from '../support/incus.ts';

const skip = incusSkipReason();
const instance = `tree-${process.pid}`;

describe('An archive and a real Incus', { skip: skip ?? false }, () => {
  let incus: RealIncus;
  let target: Target;
  let mounted = '';

  before(async () => {
    incus = await openRealIncus();
    target = openTarget(`unix:${incus.socketPath}`);
    await incus.incus('launch', '-q', 'bb', instance);
    mounted = fs.mkdtempSync(join(tmpdir(), 'iu-mounted-'));
    // The container's root, as this machine counts.
    const map = await incus.ask(instance, 'cat', '/proc/self/uid_map');
    const root = Number(map.trim().split(/\s+/)[1]);
    fs.chownSync(mounted, root, root);
  });
  after(async () => {
    await target?.close();
    await incus?.incus('delete', '-f', instance);
    await incus?.close();
    fs.rmSync(mounted, { recursive: true, force: true });
  });

  const archive = createArchive([
    { name: 'above', content: 'above' },
    { name: 'disk/', mode: 0o777 },
    ...Array.from({ length: 200 }, (_, at) => ({ name: `disk/d${at % 5}/f${at}`, content: `${at}` })),
    { name: 'disk/link', link: '../above' },
  ]);

  it('unpack() crosses into a directory that is a disk of its own', { timeout: 60_000 }, async () => {
    await incus.incus(
      'config',
      'device',
      'add',
      instance,
      'd',
      'disk',
      `source=${mounted}`,
      'path=/opt/disk',
    );
    const outcome = await target.unpack(createTreeDelivery(archive, { instance, path: '/opt' }));
    assert.deepEqual(outcome, { kind: 'delivered', path: '/opt' });
    assert.equal(fs.readFileSync(incus.hostPath(instance, '/opt/above'), 'utf8'), 'above');
    for (let at = 0; at < 200; at += 1)
      assert.equal(fs.readFileSync(join(mounted, `d${at % 5}/f${at}`), 'utf8'), `${at}`);
    assert.equal(fs.readlinkSync(join(mounted, 'link')), '../above');
    assert.deepEqual(
      [...temporariesBelow(mounted), ...temporariesBelow(incus.hostPath(instance, '/opt'))],
      [],
    );
    await incus.incus('config', 'device', 'remove', instance, 'd');
  });

  it('unpack() takes a container that is stopped', { timeout: 60_000 }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await incus.incus('stop', '-f', instance);
    const outcome = await target.unpack(createTreeDelivery(archive, { instance, path: '/srv/stopped/' }));
    assert.deepEqual(outcome, { kind: 'delivered', path: '/srv/stopped' });
    assert.equal(fs.readFileSync(incus.hostPath(instance, '/srv/stopped/disk/d3/f3'), 'utf8'), '3');
  });
});
