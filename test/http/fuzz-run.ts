/** Sends a running daemon bytes that are nearly requests, and judges what it did. */
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { createPlace, type Daemon, eventually, startDaemon } from '../e2e/daemon.ts';
import { createRandom, hostileBytes } from './mutate.ts';
import { request, upload } from './request.ts';

export type FuzzOptions = {
  readonly requests: number;
  readonly seed: number;
  /** All over TCP, where the daemon wants a token that nobody has. */
  readonly closed?: boolean;
  readonly onProgress?: (sent: number) => void;
};

export type FuzzSummary = {
  readonly requests: number;
  readonly seed: number;
  readonly seconds: number;
  /** Answers by status; `closed` for connections that ended without any. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly jobs: number;
  readonly peakMemoryMib: number;
  /** What must not be. Empty when all is well. */
  readonly breaches: readonly string[];
};

const CONNECTIONS = 128;
/** One sender in so many keeps its side open for a moment, as if there were more to come. */
const PATIENT = 50;
const PATIENCE_MS = 300;
/** By then the daemon has ended every connection; the longest it may wait is for a body, two seconds. */
const DEADLINE_MS = 30_000;
/** Thousands of files are each synced on delivery. */
const JOBS_DEADLINE_MS = 300_000;
/** Statuses that the daemon may answer with; anything from 500 on but these is its own failure. */
const ALLOWED_FROM_500 = new Set([503, 507]);
const MESSAGES =
  /^(?:listening|refused|audit|deferred|recovered|about the target|records of|Incus |there is no token)/;

export async function runFuzz({
  requests,
  seed,
  closed = false,
  onProgress,
}: FuzzOptions): Promise<FuzzSummary> {
  const startedMs = performance.now();
  const random = createRandom(seed);
  const place = createPlace();
  const args = ['--body-timeout', '2s', '--max-queued-jobs', '1000000'];
  const daemon = await startDaemon(place, args, closed ? 'closed' : 'open');
  const outcomes: Record<string, number> = {};
  const accepted = new Set<string>();
  const breaches: string[] = [];
  let sent = 0;
  let unseen = 0;

  async function work(): Promise<void> {
    while (sent < requests && breaches.length < 20) {
      sent += 1;
      const number = sent;
      const bytes = hostileBytes(random, number);
      const { text, end } = await exchange(daemon, closed ? 2 * number + 1 : number, bytes);
      const answers = readAnswers(text);
      if (answers === undefined) breaches.push(`not HTTP: ${JSON.stringify(text.slice(0, 200))}`);
      for (const { status, id } of answers ?? []) {
        outcomes[status] = (outcomes[status] ?? 0) + 1;
        if (id !== undefined) accepted.add(id);
        if (status >= 500 && !ALLOWED_FROM_500.has(status))
          breaches.push(`${status} for ${JSON.stringify(bytes.toString('latin1').slice(0, 600))}`);
      }
      if (answers?.length === 0) outcomes.closed = (outcomes.closed ?? 0) + 1;
      if (end === 'open')
        breaches.push(`left open: ${JSON.stringify(bytes.toString('latin1').slice(0, 600))}`);
      // Whoever sends two requests at once, or is reset, may miss an answer.
      const asked = bytes.toString('latin1').split(/ HTTP\/1/).length - 1;
      if (!closed && (end === 'reset' || asked > 1)) unseen += 1;
      if (number % 5000 === 0) onProgress?.(number);
    }
  }

  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, work));
    await judge();
    return {
      requests: sent,
      seed,
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
      outcomes,
      jobs: accepted.size,
      peakMemoryMib: Math.round(daemon.isOver ? 0 : daemon.peakMemoryMib()),
      breaches,
    };
  } finally {
    await daemon.stop();
    place.remove();
  }

  /** Alive, and nothing left but the jobs that were accepted. */
  async function judge(): Promise<void> {
    const demand = (what: string, holds: boolean): void => {
      if (!holds) breaches.push(what);
    };
    if (daemon.isOver) {
      breaches.push(`the daemon ended: ${daemon.stderr.slice(-2000)}`);
      return;
    }
    const last = await upload(place.socketPath, 'web', '/last', 'x', { Accept: 'application/json' });
    demand(`the last upload is answered with ${last.status}`, last.status === 202);
    const { id } = JSON.parse(last.text);
    let seen: unknown;
    const finished = async (): Promise<boolean> => {
      const { jobs, uploads } = await daemon.info();
      seen = { jobs, uploads };
      return uploads === 0 && jobs.queued === 0 && jobs.delivering === 0 && jobs.deferred === 0;
    };
    try {
      await eventually('every job is finished', finished, JOBS_DEADLINE_MS);
    } catch {
      const deferred = (await daemon.get('/v1/jobs?state=deferred&limit=3')).text;
      breaches.push(`unfinished: ${JSON.stringify(seen)} ${deferred}`);
      return;
    }
    demand('the last upload is not delivered', (await daemon.job(id)).state === 'delivered');
    const { jobs } = await daemon.info();
    const total = Object.values(jobs).reduce((sum, count) => sum + count, 0);
    demand(
      `${total} jobs for ${accepted.size} accepted uploads`,
      total >= accepted.size + 1 && total <= accepted.size + 1 + unseen,
    );
    // Failed jobs keep their payload for a retry; only large ones have a file.
    await eventually('no payload file is left over', () => place.payloadFiles().length <= (jobs.failed ?? 0));
    demand(
      'something outside the instance',
      readdirSync(place.target).join() === 'web' && readdirSync(place.directory).length <= 3,
    );
    demand('healthz', (await request(place.socketPath, 'GET', '/healthz')).text === 'ok\n');
    for (const record of daemon.log()) {
      demand(`log: ${JSON.stringify(record)}`, typeof record.level === 'string' && MESSAGES.test(record.msg));
    }
  }
}

type Exchange = {
  /** Every byte that came back. */
  readonly text: string;
  /** How the connection ended; `open` when the daemon did nothing about it. */
  readonly end: 'closed' | 'reset' | 'open';
};

/** Sends the bytes, mostly with the end of the sending side at once, until the daemon ends the connection. */
function exchange(daemon: Daemon, number: number, bytes: Buffer): Promise<Exchange> {
  return new Promise((resolve) => {
    const socket =
      number % 2 === 0 ? connect(daemon.place.socketPath) : connect({ host: '127.0.0.1', port: daemon.port });
    let text = '';
    let end: Exchange['end'] = 'open';
    const deadline = setTimeout(() => socket.destroy(), DEADLINE_MS);
    let patience: NodeJS.Timeout | undefined;
    socket.setEncoding('latin1');
    socket.on('data', (part: string) => {
      text += part;
    });
    socket.on('end', () => {
      end = 'closed';
    });
    socket.on('error', () => {
      end = 'reset';
    });
    socket.on('close', () => {
      clearTimeout(deadline);
      clearTimeout(patience);
      resolve({ text, end });
    });
    if (number % PATIENT === 0) {
      socket.write(bytes);
      patience = setTimeout(() => socket.end(), PATIENCE_MS);
    } else socket.end(bytes);
  });
}

/** Status and job of each answer; undefined when the bytes are no answers. A last one may be cut off. */
function readAnswers(text: string): { status: number; id: string | undefined }[] | undefined {
  const answers: { status: number; id: string | undefined }[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    const head = rest.slice(0, end === -1 ? undefined : end);
    const status = Number(/^HTTP\/1\.1 (\d{3}) [ -~]*(?:\r\n|$)/.exec(head)?.[1] ?? Number.NaN);
    if (!(status >= 100 && status < 600)) return undefined;
    if (end === -1) return answers;
    const length = status < 200 ? 0 : Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
    answers.push({ status, id: /^x-job-id: (\w+)$/im.exec(head)?.[1] });
    rest = rest.slice(end + 4);
    // The answer to HEAD has a length and no body.
    rest = rest.startsWith('HTTP/1.1 ') ? rest : rest.slice(length);
  }
  return answers;
}
