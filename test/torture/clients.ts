/** Many clients of one daemon, and what each of them learns about its uploads. */
import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Breaches } from './breaches.ts';
import type { Content } from './content.ts';
import type { DaemonApi } from './daemon-api.ts';
import type { Entry, Ledger } from './ledger.ts';
import { OwnPauses } from './own-pauses.ts';
import type { Random } from './random.ts';
import { type SendOptions, type Sent, sendUpload } from './send-upload.ts';
import type { Planner, UploadPlan } from './upload-plan.ts';

export type ClientsOptions = {
  readonly count: number;
  readonly socketPath: string;
  readonly api: DaemonApi;
  readonly planner: Planner;
  readonly content: Content;
  readonly ledger: Ledger;
  readonly breaches: Breaches;
  readonly random: Random;
  /** Average pause of a client between two uploads. */
  readonly thinkMs: number;
  /** Clients wait while so many uploads are waiting for their delivery. */
  readonly backlog: () => Promise<void>;
  readonly stopped: () => boolean;
};

/** What a daemon under these tests may say, with the statuses that must come with Retry-After. */
const MAY_REFUSE: Readonly<Record<string, { status: number; retryAfter: boolean }>> = {
  too_many_uploads: { status: 429, retryAfter: true },
  queue_full: { status: 503, retryAfter: true },
  draining: { status: 503, retryAfter: true },
  not_ready: { status: 503, retryAfter: true },
  disk_low: { status: 507, retryAfter: true },
  stalled: { status: 408, retryAfter: false },
  digest_mismatch: { status: 400, retryAfter: false },
  too_large: { status: 413, retryAfter: false },
};

const TRIES = 60;
/** A good part of the daemon's body timeout. */
const LONG_PAUSE_MS = 2000;

export async function runClients(options: ClientsOptions): Promise<void> {
  const pauses = new OwnPauses();
  const clients = Array.from({ length: options.count }, (_, i) =>
    new Client(options, options.random.fork(`client ${i}`), pauses).run(),
  );
  await Promise.all(clients);
  pauses.stop();
}

class Client {
  readonly #options: ClientsOptions;
  readonly #random: Random;
  readonly #pauses: OwnPauses;
  #agent = new Agent({ keepAlive: true });

  constructor(options: ClientsOptions, random: Random, pauses: OwnPauses) {
    this.#options = options;
    this.#random = random;
    this.#pauses = pauses;
  }

  async run(): Promise<void> {
    const { planner, ledger, backlog, stopped, thinkMs } = this.#options;
    while (!stopped()) {
      await backlog();
      const entry = ledger.begin(planner.next());
      await this.#upload(entry);
      ledger.settle(entry);
      if (entry.state === 'accepted') await this.#afterwards(entry);
      if (this.#random.chance(0.15)) this.#agent.destroy();
      await delay(this.#random.waitMs(thinkMs));
    }
    this.#agent.destroy();
  }

  async #upload(entry: Entry): Promise<void> {
    const { plan } = entry;
    const floor = this.#options.ledger.highestId;
    let maybeAccepted = false;
    for (let tries = 0; tries < TRIES; tries += 1) {
      // Whoever asks again wants the answer.
      const again: UploadPlan = tries > 0 && plan.manner === 'deaf' ? { ...plan, manner: 'plain' } : plan;
      const sent = await this.#send(again);
      if (sent.kind === 'broken') {
        if (sent.reached === 'complete') maybeAccepted = true;
        if (sent.reached !== 'unreachable' && (plan.key === undefined || plan.mustBeRefused)) break;
        if (this.#options.stopped() && tries > 5) break;
        await delay(this.#random.int(20, 200));
        continue;
      }
      if (sent.status === 202) {
        this.#accepted(entry, sent.jobId ?? 'no id', maybeAccepted ? '' : floor);
        return;
      }
      this.#refused(entry, sent);
      if (!(await this.#tryAgain(sent.status, tries))) {
        if (!maybeAccepted) entry.state = 'refused';
        break;
      }
    }
    if (entry.state === 'sending') entry.state = maybeAccepted ? 'unknown' : 'cut';
  }

  #accepted(entry: Entry, jobId: string, floor: string): void {
    const { ledger, breaches } = this.#options;
    const { plan } = entry;
    entry.state = 'accepted';
    entry.jobId = jobId;
    if (plan.mustBeRefused) breaches.add(`upload ${plan.number} (${why(plan)}) was accepted as job ${jobId}`);
    if (jobId <= floor) {
      breaches.add(`job ${jobId} of upload ${plan.number} sorts before ${floor}, which was answered earlier`);
    }
    if (jobId > ledger.highestId) ledger.highestId = jobId;
  }

  #refused(entry: Entry, sent: Sent & { kind: 'answer' }): void {
    const { ledger, breaches } = this.#options;
    entry.code = sent.code;
    ledger.refused(sent.code || String(sent.status));
    const expected = MAY_REFUSE[sent.code];
    if (expected?.status !== sent.status) {
      breaches.add(`an upload was refused with ${sent.status} ${sent.code || 'without a code'}`);
    } else if (expected.retryAfter && sent.retryAfter === undefined) {
      breaches.add(`${sent.status} ${sent.code} came without Retry-After`);
    }
    const { plan, startedAtMs } = entry;
    const isSlow = plan.manner === 'stall' || this.#pauses.sinceMs(startedAtMs) > LONG_PAUSE_MS;
    const mayBe =
      (sent.code === 'digest_mismatch' && plan.digest === 'wrong') ||
      (sent.code === 'too_large' && plan.mustBeRefused) ||
      (sent.code === 'stalled' && isSlow) ||
      expected?.retryAfter === true;
    if (expected !== undefined && !mayBe)
      breaches.add(`upload ${plan.number} was refused with ${sent.code} for no reason`);
  }

  async #tryAgain(status: number, tries: number): Promise<boolean> {
    if (![429, 503, 507].includes(status) || tries > 3 || this.#options.stopped()) return false;
    await delay(this.#random.int(100, 400));
    return true;
  }

  async #afterwards(entry: Entry): Promise<void> {
    const { plan, jobId } = entry;
    if (plan.key !== undefined && this.#random.chance(0.15)) await this.#sendAgain(plan, jobId);
    if (plan.key !== undefined && this.#random.chance(0.03)) await this.#sendElsewhere(plan);
    if (plan.cancel) await this.#cancel(entry);
  }

  /** The same key and destination again: the first job's answer, no second job. */
  async #sendAgain(plan: UploadPlan, jobId: string | undefined): Promise<void> {
    const sent = await this.#send({ ...plan, manner: 'plain' });
    if (sent.kind === 'broken' || sent.status === 503) return;
    this.#options.ledger.replays += 1;
    if (sent.status === 202 && sent.jobId === jobId) return;
    this.#options.breaches.add(
      `a key that was used for job ${jobId} was answered ${sent.status} ${sent.code} ${sent.jobId ?? ''}`,
    );
  }

  async #sendElsewhere(plan: UploadPlan): Promise<void> {
    const sent = await this.#send({ ...plan, manner: 'plain' }, `${plan.path}-elsewhere`);
    if (sent.kind === 'broken' || sent.status === 503) return;
    this.#options.ledger.refused(sent.code);
    if (sent.status === 422) return;
    this.#options.breaches.add(`a key that was used for another destination was answered ${sent.status}`);
  }

  async #cancel(entry: Entry): Promise<void> {
    const { api, breaches } = this.#options;
    entry.cancelAsked = true;
    for (let tries = 0; tries < 20 && !this.#options.stopped(); tries += 1) {
      try {
        const { status, body } = await api.ask('POST', `/v1/jobs/${entry.jobId}/cancel`);
        if (status === 200) entry.cancelledAtMs = Date.now();
        else if (status !== 409)
          breaches.add(`cancel of job ${entry.jobId} was answered ${status} ${body.slice(0, 200)}`);
        return;
      } catch {
        await delay(200);
      }
    }
  }

  #send(plan: UploadPlan, otherPath?: string): Promise<Sent> {
    const { socketPath, content } = this.#options;
    const options: SendOptions = {
      socketPath,
      agent: this.#agent,
      content,
      pauseMs: () => this.#random.int(1, 60),
      stopAfterBytes: this.#random.int(0, Math.max(0, plan.sizeBytes - 1)),
      ...(otherPath === undefined ? {} : { otherPath }),
    };
    return sendUpload(plan, options);
  }
}

function why(plan: UploadPlan): string {
  if (plan.digest === 'wrong') return 'whose digest is wrong';
  return plan.manner === 'plain' ? 'which is too large' : 'which was never complete';
}
