import { CodedError, ERRORS } from '../errors.ts';

/** SIGINT, SIGTERM and SIGHUP as an abort, whose reason is `interrupted`; a second one ends the process at once. */
export function watchInterruption(): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(ERRORS.interrupted.exit);
    controller.abort(new CodedError('interrupted'));
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, interrupt);
  return {
    signal: controller.signal,
    stop: () => {
      for (const name of signals) process.off(name, interrupt);
    },
  };
}
