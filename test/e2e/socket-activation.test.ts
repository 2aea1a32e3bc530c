import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { Agent, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cleanEnvironment, createPlace, DAEMON, eventually, type Place } from './daemon.ts';

const HOLDER = fileURLToPath(new URL('hold-socket.pl', import.meta.url));
const SENDERS = 16;
const RESTARTS = 3;

type Outcome = {
  readonly status: number;
  readonly id: string | undefined;
  readonly error: string | undefined;
};

/** One upload, never repeated. */
function push(socketPath: string, path: string, agent: Agent | false): Promise<Outcome> {
  return new Promise((resolve) => {
    const headers = { 'X-Container-Name': 'web', 'X-File-Path': path, 'Content-Length': path.length };
    const sent = httpRequest({ socketPath, method: 'POST', path: '/upload', headers, agent }, (res) => {
      const id = res.headers['x-job-id'];
      res.resume();
      res.once('end', () =>
        resolve({
          status: res.statusCode ?? 0,
          id: typeof id === 'string' ? id : undefined,
          error: undefined,
        }),
      );
    });
    sent.once('error', (error) => resolve({ status: 0, id: undefined, error: error.message }));
    sent.end(path);
  });
}

function startHolder(place: Place): { readonly pid: number; log(): string; readonly ended: Promise<void> } {
  const daemon = [process.execPath, DAEMON, '--state-dir', place.stateDir, '--target', `dir:${place.target}`];
  const options = ['--min-free-space', '1MiB', '--log-format', 'json'];
  const child = spawn('perl', [HOLDER, place.socketPath, ...daemon, ...options], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return { pid: child.pid ?? 0, log: () => log, ended };
}

const skip = spawnSync('perl', ['-e', '1']).error === undefined ? false : 'perl is not installed';

for (const way of ['a connection for each upload', 'connections that are kept'] as const) {
  test(`restarts under socket activation refuse and lose no upload, with ${way}`, { skip }, async (t) => {
    const place = createPlace();
    const holder = startHolder(place);
    const outcomes: Outcome[] = [];
    const agent =
      way === 'connections that are kept' ? new Agent({ keepAlive: true, maxSockets: SENDERS }) : false;
    const countOf = (text: string): number => holder.log().split(text).length - 1;
    let over = false;
    try {
      await eventually('the daemon listens', () => countOf('"listening"') === 1);
      const senders = Array.from({ length: SENDERS }, async (_, sender) => {
        for (let i = 0; !over; i += 1) {
          outcomes.push(await push(place.socketPath, `/${sender}-${i}`, agent));
          await delay(5);
        }
      });
      for (let i = 1; i <= RESTARTS; i += 1) {
        const count = outcomes.length;
        await eventually('uploads flow', () => outcomes.length > count + 50);
        process.kill(holder.pid, 'SIGHUP');
        await eventually('the next daemon listens', () => countOf('"listening"') === i + 1);
      }
      const count = outcomes.length;
      await eventually('uploads flow', () => outcomes.length > count + 50);
      over = true;
      await Promise.all(senders);
      const refused = outcomes.filter(({ status }) => status !== 202);
      assert.deepEqual(refused, [], `${refused.length} of ${outcomes.length}`);
      assert.equal(new Set(outcomes.map(({ id }) => id)).size, outcomes.length);
      await eventually('all are delivered', () => {
        const paths = outcomes.length;
        return delivered(place) === paths;
      });
      t.diagnostic(`${outcomes.length} uploads over ${RESTARTS} restarts`);
    } finally {
      over = true;
      if (agent !== false) agent.destroy();
      process.kill(holder.pid, 'SIGTERM');
      await holder.ended;
      place.remove();
    }
  });
}

function delivered(place: Place): number {
  const listing = spawnSync('ls', ['-U', join(place.target, 'web')], { encoding: 'utf8' });
  return listing.stdout.split('\n').filter((name) => /^\d+-\d+$/.test(name)).length;
}
