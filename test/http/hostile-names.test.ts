/** Headers of every shape: each upload is accepted and delivered as asked, or refused with 4xx, and nothing is left. */
import assert from 'node:assert/strict';
import { Agent, request as httpRequest } from 'node:http';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { cleanPath } from '../../src/protocol/names.ts';
import { eventually, type Harness, openHarness } from './harness.ts';

let daemon: Harness;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
before(async () => {
  daemon = await openHarness();
});
after(() => {
  agent.destroy();
  return daemon.close();
});

function send(headers: Record<string, string>): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const { port } = daemon;
    const sent = httpRequest({ host: '127.0.0.1', port, method: 'POST', path: '/upload', headers, agent });
    sent.on('error', reject);
    sent.on('response', (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (part: string) => {
        text += part;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
    });
    sent.end('content');
  });
}

const nasty = fc.constantFrom(
  '/',
  '..',
  '.',
  '\0',
  '\n',
  '\u001b',
  '\u2028',
  'a',
  'ü',
  '%',
  ' ',
  '*',
  '\u{1f600}',
  '-',
);
const name = fc.oneof(
  fc.array(nasty, { maxLength: 12 }).map((parts) => parts.join('')),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
);
/** RFC 8187 lets a header hold any text. */
const encode = (text: string): string => `UTF-8''${encodeURIComponent(text)}`;
const path = fc.oneof(
  name,
  name.map((rest) => `/${rest}`),
);
const instance = fc.oneof(fc.constant('web'), name);

test('an upload of any names is delivered to exactly the path that was asked for, or refused', async () => {
  await fc.assert(
    fc.asyncProperty(instance, path, name, name, async (toInstance, toPath, from, project) => {
      daemon.target.deliveries.length = 0;
      const { status, text } = await send({
        'X-Container-Name*': encode(toInstance),
        'X-File-Path*': encode(toPath),
        'X-Host-Path*': encode(from),
        ...(project.length % 2 === 0 ? {} : { 'X-Incus-Project*': encode(project) }),
        Accept: 'application/json',
      });
      await eventually('nothing is under way', () => daemon.context.spool.live.size === 0);
      assert.ok(status === 202 || status === 400, `${status}: ${text}`);
      assert.equal(daemon.target.deliveries.length, status === 202 ? 1 : 0);
      if (status === 202) {
        const job = JSON.parse(text);
        assert.equal(job.instance, toInstance);
        assert.equal(job.path, cleanPath(toPath));
        assert.ok(!`${job.path}/`.includes('/../') && !job.path.includes('\0'));
      }
    }),
    { numRuns: 500 },
  );
  assert.deepEqual(daemon.payloadFiles(), []);
  assert.equal(daemon.reservedBytes(), 0);
});

test('whatever stands in any header, the answer is 202 or 4xx', async () => {
  const text = name.map(encode);
  const raw = fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    maxLength: 40,
  });
  const headers = fc.record(
    {
      'X-File-Mode': raw,
      'X-File-Uid': raw,
      'X-File-Gid': raw,
      'X-Create-Dirs': raw,
      'Idempotency-Key': raw,
      'Repr-Digest': raw,
      'X-Host-Path*': fc.oneof(text, raw),
      'X-File-Path*': fc.oneof(text, raw),
      'Content-Range': raw,
      Accept: raw,
      Authorization: raw,
    },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(headers, async (more) => {
      const { status } = await send({ 'X-Container-Name': 'web', 'X-File-Path': '/f', ...more });
      assert.ok(status === 202 || (status >= 400 && status < 500), String(status));
    }),
    { numRuns: 1000 },
  );
  await eventually('nothing is under way', () => daemon.context.spool.live.size === 0);
  assert.equal(daemon.context.stats.uploadsUnderWay, 0);
  assert.deepEqual(daemon.payloadFiles(), []);
});
