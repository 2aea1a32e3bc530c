/** SIGHUP: what is taken in without a restart. What is wrong changes nothing, and is said in the log. */
import { messageOf } from '../errors.ts';
import type { AppContext, UploadLimits } from '../http/app-context.ts';
import type { Config } from './config.ts';
import { type Listening, reloadTls } from './listeners.ts';
import type { Log } from './log.ts';

export type ReloadParts = {
  /** What the daemon was started with. */
  readonly config: Config;
  /** Reads the configuration again. */
  readonly reload: () => Promise<Config>;
  readonly context: AppContext;
  readonly listening: readonly Listening[];
  readonly log: Log;
};

/** What to call on SIGHUP; several in a row are done one after the other. */
export function createReload(parts: ReloadParts): () => void {
  let last = Promise.resolve();
  return () => {
    last = last.then(() => reloadOnce(parts));
  };
}

async function reloadOnce({ config, reload, context, listening, log }: ReloadParts): Promise<void> {
  context.tokens.forget();
  try {
    const next = await reload();
    await reloadTls(next, config, listening);
    context.limits = limitsOf(next);
    log.level = next.logLevel;
    log.info({}, 'configuration read again');
  } catch (error) {
    log.error({ error: messageOf(error) }, 'cannot read the configuration again, going on with the old one');
  }
}

export function limitsOf(config: Config): UploadLimits {
  return {
    maxUploadSizeBytes: config.maxUploadSizeBytes,
    maxQueuedJobs: config.maxQueuedJobs,
    maxUploads: config.maxUploads,
    bodyTimeoutMs: config.bodyTimeoutMs,
  };
}
