/** What the daemon says of itself. */
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { throwIfInterrupted } from './command.ts';
import type { Server } from './server.ts';

const counts = z.object({
  queued: z.number(),
  delivering: z.number(),
  deferred: z.number(),
  delivered: z.number(),
  failed: z.number(),
});
const info = z.object({ jobs: counts });

export type Counts = z.output<typeof counts>;

/** Jobs by state. */
export async function readCounts(server: Server): Promise<Counts> {
  const text = await new Promise<string>((resolve, reject) => {
    const socketPath = server.address.replace(/^unix:/, '');
    const asked = request({ socketPath, path: '/v1/info', agent: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('end', () => resolve(body));
      answer.on('error', reject);
    });
    asked.on('error', reject);
    asked.end();
  });
  return info.parse(JSON.parse(text)).jobs;
}

/** Resolves once so many jobs are delivered; rejects as soon as one is not. */
export async function untilDelivered(server: Server, jobs: number): Promise<void> {
  for (;;) {
    throwIfInterrupted();
    const { delivered, failed, deferred } = await readCounts(server);
    if (failed + deferred > 0) throw new Error(`${failed + deferred} jobs could not be delivered`);
    if (delivered >= jobs) return;
    await delay(5);
  }
}
