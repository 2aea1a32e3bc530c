/** The daemon's /v1 as the torture reads it. */
import { request } from 'node:http';
import type { WireJob } from '../../src/protocol/job-wire.ts';

const TIMEOUT_MS = 20_000;

export type Info = { readonly jobs: Readonly<Record<string, number>>; readonly reachable: boolean };

export type ApiAnswer = { readonly status: number; readonly body: string };

export class DaemonApi {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Rejects when the daemon does not answer. */
  ask(method: 'GET' | 'POST', path: string): Promise<ApiAnswer> {
    return new Promise((resolve, reject) => {
      const req = request({
        socketPath: this.#socketPath,
        method,
        path,
        timeout: TIMEOUT_MS,
        agent: false,
      });
      req.on('timeout', () => req.destroy(new Error(`${path}: no answer in ${TIMEOUT_MS / 1000} s`)));
      req.on('error', reject);
      req.on('response', async (response) => {
        try {
          const chunks: Buffer[] = [];
          for await (const chunk of response) chunks.push(chunk);
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
        } catch (error) {
          reject(error);
        }
      });
      req.end();
    });
  }

  async info(): Promise<Info> {
    return JSON.parse(await this.#get('/v1/info')) as Info;
  }

  /** Jobs that are not finished. */
  async unfinished(): Promise<number> {
    const { jobs } = await this.info();
    return (jobs.queued ?? 0) + (jobs.deferred ?? 0) + (jobs.delivering ?? 0);
  }

  /** Every job that the daemon knows, oldest first. */
  async jobs(): Promise<WireJob[]> {
    const jobs: WireJob[] = [];
    for (let after = ''; ; ) {
      const query = after === '' ? '' : `&after=${after}`;
      const page = JSON.parse(await this.#get(`/v1/jobs?limit=1000${query}`)) as {
        jobs: WireJob[];
        next: string | null;
      };
      jobs.push(...page.jobs);
      if (page.next === null) return jobs.reverse();
      after = page.next;
    }
  }

  async #get(path: string): Promise<string> {
    const { status, body } = await this.ask('GET', path);
    if (status !== 200) throw new Error(`${path}: ${status} ${body.slice(0, 200)}`);
    return body;
  }
}
