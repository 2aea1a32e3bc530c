import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Harness, openHarness } from './harness.ts';
import { request } from './request.ts';
import { ask, giveToken } from './token-senders.ts';

let daemon: Harness;
before(async () => {
  daemon = await openHarness({ tcpAccess: 'closed' });
  const of = (project: string, instance: string) => ({
    project,
    instance,
    config: new Map<string, string>(),
  });
  daemon.target.known = [
    of('default', 'web-1'),
    of('default', 'db'),
    of('shop', 'web-1'),
    of('shop', 'web-2'),
  ];
});
after(() => daemon.close());

const namesIn = (text: string): string[] =>
  JSON.parse(text).instances.map((one: { name: string; project: string }) => `${one.project}/${one.name}`);

test('GET /v1/instances tells all instances, or those of a project', async () => {
  const all = await request(daemon.socketPath, 'GET', '/v1/instances');
  assert.equal(all.status, 200);
  assert.deepEqual(namesIn(all.text), ['default/web-1', 'default/db', 'shop/web-1', 'shop/web-2']);
  const shop = await request(daemon.socketPath, 'GET', '/v1/instances?project=shop');
  assert.deepEqual(JSON.parse(shop.text), {
    instances: [
      { name: 'web-1', project: 'shop' },
      { name: 'web-2', project: 'shop' },
    ],
  });
});

test('GET /v1/instances tells nothing that the scope does not cover', async () => {
  const web = await giveToken(daemon, 'web', { instances: ['web-*'], projects: ['shop'] });
  assert.deepEqual(namesIn((await ask(daemon, web, 'GET', '/v1/instances')).text), [
    'shop/web-1',
    'shop/web-2',
  ]);
  assert.deepEqual(namesIn((await ask(daemon, web, 'GET', '/v1/instances?project=default')).text), []);
  assert.equal((await request(daemon.port, 'GET', '/v1/instances')).status, 401);
});

test('GET /v1/instances refuses a name that no project can have, and other methods', async () => {
  const bad = await request(daemon.socketPath, 'GET', '/v1/instances?project=a/b');
  assert.deepEqual([bad.status, JSON.parse(bad.text).code], [400, 'bad_request']);
  assert.equal((await request(daemon.socketPath, 'POST', '/v1/instances')).status, 405);
});

test('GET /v1/instances is 503 while the target does not answer', async () => {
  daemon.target.behave('away');
  const answer = await request(daemon.socketPath, 'GET', '/v1/instances');
  daemon.target.behave('deliver');
  assert.deepEqual([answer.status, JSON.parse(answer.text).code], [503, 'target_unreachable']);
});
