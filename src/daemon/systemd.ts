import { spawn } from 'node:child_process';

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_FD = 3;
const NOTIFY_TIMEOUT_MS = 5000;

export type PassedSocket = {
  readonly fd: number;
  /** `FileDescriptorName=` of the socket unit; `unknown` when systemd gave none. */
  readonly name: string;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** The listening sockets that systemd passed to this very process; none when they were meant for another one. */
export function listenFds(env: Environment, pid: number): PassedSocket[] {
  const count = Number(env.LISTEN_FDS);
  if (env.LISTEN_PID !== String(pid) || !Number.isInteger(count) || count <= 0) return [];
  const names = (env.LISTEN_FDNAMES ?? '').split(':');
  return Array.from({ length: count }, (_, i) => ({ fd: FIRST_FD + i, name: names[i] || 'unknown' }));
}

/**
 * Milliseconds between two `WATCHDOG=1`: half of what systemd allows, as sd_watchdog_enabled(3) advises. Null when no
 * watchdog waits for this process.
 */
export function watchdogIntervalMs(env: Environment, pid: number): number | null {
  const allowedUs = Number(env.WATCHDOG_USEC);
  const owner = env.WATCHDOG_PID;
  if (!Number.isFinite(allowedUs) || allowedUs <= 0 || (owner !== undefined && owner !== String(pid))) {
    return null;
  }
  return Math.max(1, Math.floor(allowedUs / 2000));
}

export type Notifier = {
  /**
   * Tells systemd lines such as `READY=1` or `STATUS=3 jobs queued`, in the order of the calls. Resolves once they were
   * taken, or could not be told: a service manager that does not listen stops nobody from working.
   */
  notify(...lines: string[]): Promise<void>;
};

/** Node has no datagram sockets for sd_notify(3), so systemd's own program speaks for us (NotifyAccess=all). */
export function createNotifier(env: Environment, onError: (message: string) => void): Notifier {
  const socket = env.NOTIFY_SOCKET;
  if (socket === undefined || socket === '') return { notify: () => Promise.resolve() };
  let last = Promise.resolve();
  return {
    notify: (...lines) => {
      // A line break in a status would begin an assignment of its own.
      const clean = lines.map((line) => line.replaceAll(/[\r\n]+/g, ' '));
      last = last
        .then(() => runNotify(clean, socket, env.PATH))
        .then((problem) => {
          if (problem !== undefined) onError(problem);
        });
      return last;
    },
  };
}

/** Undefined when all went well, else what did not. */
function runNotify(lines: string[], socket: string, path: string | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn('systemd-notify', lines, {
      env: { PATH: path ?? '/usr/bin:/bin', NOTIFY_SOCKET: socket },
      stdio: 'ignore',
      timeout: NOTIFY_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    child.once('error', (error) => resolve(`systemd-notify: ${error.message}`));
    child.once('exit', (code, signal) =>
      resolve(code === 0 ? undefined : `systemd-notify ended with ${signal ?? `status ${code}`}`),
    );
  });
}
