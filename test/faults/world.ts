/** A real daemon delivering into a fake Incus whose faults can be switched, and what a client of it does. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type ClientRequest, request } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { WireJob } from '../../src/protocol/job-wire.ts';
import { type FakeIncus, startFakeIncus } from '../support/fake-incus.ts';
import { type Daemon, startDaemon } from '../support/programs.ts';

const CRASH_AT = pathToFileURL(new URL('../torture/crash-at.mjs', import.meta.url).pathname).href;

export type World = {
  readonly incus: FakeIncus;
  readonly daemon: Daemon;
  /** Uploads a file and resolves to the id of its job. */
  upload(
    instance: string,
    path: string,
    bytes: Buffer | string,
    headers?: Record<string, string>,
  ): Promise<string>;
  /** Begins an upload of that many bytes, of which the caller writes as many as it likes. */
  beginUpload(instance: string, path: string, sizeBytes: number): ClientRequest;
  job(id: string): Promise<WireJob>;
  /** Resolves to the job once it is as wanted. */
  until(id: string, what: string, isSo: (job: WireJob) => boolean): Promise<WireJob>;
  untilState(id: string, state: WireJob['state']): Promise<WireJob>;
  post(path: string): Promise<{ status: number; body: string }>;
  text(path: string): Promise<string>;
  /** The bytes at a path in an instance, undefined when there is no file. */
  content(instance: string, path: string): string | undefined;
  /** Temporary files in all instances. */
  temporaries(): string[];
  /** From the next start on the daemon ends itself with SIGKILL when it reaches a point for the n-th time. */
  crashAt(point: string, times?: number): void;
  /** Resolves when it has done so, and lets later starts live. */
  untilCrashed(): Promise<void>;
};

export async function openWorld(
  t: TestContext,
  options: { args?: readonly string[]; instances?: readonly string[]; crashAt?: string } = {},
): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'iu-faults-'));
  const incus = await startFakeIncus({
    socketPath: join(directory, 'i.sock'),
    root: join(directory, 'root'),
  });
  for (const instance of options.instances ?? ['c1']) incus.addInstance('default', instance);
  const env: Record<string, string> = {};
  const crashFile = join(directory, 'crashed');
  const crashAt = (point: string, times = 1): void => {
    env.NODE_OPTIONS = `--import=${CRASH_AT}`;
    env.INCUS_UPLOAD_CRASH_AT = `${point}:${times}:0:${crashFile}`;
  };
  if (options.crashAt !== undefined) crashAt(options.crashAt);
  const daemon = await startDaemon({
    target: `unix:${incus.socketPath}`,
    args: ['--retry-min-delay', '50ms', '--retry-max-delay', '60s', ...(options.args ?? [])],
    env,
  });
  t.after(async () => {
    await daemon.kill();
    await daemon.close();
    await incus.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const send = (method: string, path: string, headers: Record<string, string>): ClientRequest =>
    request({ socketPath: daemon.socketPath, method, path, headers });
  const uploadHeaders = (instance: string, path: string, sizeBytes: number): Record<string, string> => ({
    'X-Container-Name': instance,
    'X-File-Path': path,
    'X-Host-Path': '/src/file',
    'Content-Length': String(sizeBytes),
  });
  const job = async (id: string): Promise<WireJob> => (await daemon.get(`/v1/jobs/${id}`)) as WireJob;
  const until = async (id: string, what: string, isSo: (job: WireJob) => boolean): Promise<WireJob> => {
    let last: WireJob | undefined;
    await eventually(
      () => `job ${id} ${what}: ${JSON.stringify(last)}\n${daemon.log().slice(-2000)}`,
      async () => {
        last = await job(id);
        return isSo(last);
      },
    );
    return last as WireJob;
  };

  return {
    incus,
    daemon,
    upload: async (instance, path, bytes, headers = {}) => {
      const body = Buffer.from(bytes);
      const all = { ...uploadHeaders(instance, path, body.length), ...headers };
      const answer = await finish(send('POST', '/upload', all), body);
      if (answer.status !== 202) throw new Error(`The upload was answered ${answer.status}: ${answer.body}`);
      return answer.id;
    },
    beginUpload: (instance, path, sizeBytes) => {
      const begun = send('POST', '/upload', uploadHeaders(instance, path, sizeBytes));
      begun.on('error', () => undefined);
      return begun;
    },
    job,
    until,
    untilState: (id, state) => until(id, `becomes ${state}`, (seen) => seen.state === state),
    post: (path) => finish(send('POST', path, { 'Content-Length': '0' }), Buffer.alloc(0)),
    text: async (path) => (await finish(send('GET', path, {}), Buffer.alloc(0))).body,
    content: (instance, path) => {
      try {
        return readFileSync(incus.pathOf('default', instance, path)).toString();
      } catch {
        return undefined;
      }
    },
    temporaries: () =>
      readdirSync(incus.root, { recursive: true, encoding: 'utf8' }).filter((path) =>
        basename(path).startsWith('.incus-upload.'),
      ),
    crashAt,
    untilCrashed: async () => {
      await eventually(
        () => `the daemon ends itself\n${daemon.log().slice(-2000)}`,
        () => readdirSync(directory).includes('crashed'),
      );
      await daemon.kill();
      rmSync(crashFile);
      delete env.NODE_OPTIONS;
      delete env.INCUS_UPLOAD_CRASH_AT;
    },
  };
}

/** Waits until a condition holds; after a minute it says what did not come about. */
export async function eventually(what: () => string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs) throw new Error(`Did not come about: ${what()}`);
    await delay(20);
  }
}

function finish(sent: ClientRequest, body: Buffer): Promise<{ status: number; body: string; id: string }> {
  return new Promise((resolve, reject) => {
    sent.on('error', reject);
    sent.on('response', async (response) => {
      let text = '';
      for await (const chunk of response) text += String(chunk);
      resolve({ status: response.statusCode ?? 0, body: text, id: String(response.headers['x-job-id']) });
    });
    sent.end(body);
  });
}
