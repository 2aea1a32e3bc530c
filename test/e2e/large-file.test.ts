import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createReadStream, statSync, truncateSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { createPlace, eventually, startDaemon } from './daemon.ts';

const SIZE_BYTES = 2 * 2 ** 30;
const LIMIT_MIB = 150;

test(`a file of 2 GiB goes through in less than ${LIMIT_MIB} MiB of memory`, async (t) => {
  const place = createPlace();
  const daemon = await startDaemon(place);
  try {
    const source = join(place.directory, 'source');
    writeFileSync(source, '');
    truncateSync(source, SIZE_BYTES);
    const sent = httpRequest({
      socketPath: place.socketPath,
      method: 'POST',
      path: '/upload',
      headers: { 'X-Container-Name': 'web', 'X-File-Path': '/large', 'Content-Length': SIZE_BYTES },
    });
    createReadStream(source, { highWaterMark: 1 << 20 }).pipe(sent);
    const [answer] = await once(sent, 'response');
    answer.resume();
    assert.equal(answer.statusCode, 202);
    const id = String(answer.headers['x-job-id']);
    await eventually('it is delivered', async () => (await daemon.job(id)).state === 'delivered', 240_000);
    assert.equal(statSync(join(place.target, 'web', 'large')).size, SIZE_BYTES);
    const peakMib = daemon.peakMemoryMib();
    t.diagnostic(`peak of the resident memory: ${Math.round(peakMib)} MiB`);
    assert.ok(peakMib < LIMIT_MIB, `${peakMib} MiB`);
  } finally {
    await daemon.stop();
    place.remove();
  }
});
