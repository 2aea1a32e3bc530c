/** Looks at what a daemon says of itself (GET /v1/info). What it does not tell, or not to this caller, is left out. */
import { formatDuration } from '../base/duration.ts';
import { formatSize } from '../base/size.ts';
import { bad, type Finding, fine, odd } from './finding.ts';
import type { DaemonInfo } from './info.ts';

/** Clocks further apart than this are worth a word; a Date header is exact to the second. */
const CLOCK_ODD_MS = 10_000;
/** From here on tokens and certificates may count as expired, or not yet. */
const CLOCK_BAD_MS = 300_000;

/** `nowMs` is our clock while the daemon wrote the Date header `date`. */
export function checkClock(date: string | undefined, nowMs: number): Finding[] {
  const theirsMs = date === undefined ? Number.NaN : Date.parse(date);
  if (Number.isNaN(theirsMs)) return [];
  const apartMs = Math.abs(nowMs - theirsMs);
  if (apartMs < CLOCK_ODD_MS) return [fine('clock', 'the same as that of the daemon')];
  const direction = nowMs > theirsMs ? 'ahead of' : 'behind';
  const found = apartMs < CLOCK_BAD_MS ? odd : bad;
  const message = `it is ${formatDuration(apartMs)} ${direction} that of the daemon`;
  return [found('clock', message, 'have both set from the network (timedatectl set-ntp true)')];
}

export function checkInfo(info: DaemonInfo, ownVersion: string): Finding[] {
  return [...checkVersion(info, ownVersion), ...checkTarget(info), ...checkDisk(info), ...checkQueue(info)];
}

function checkVersion({ version }: DaemonInfo, own: string): Finding[] {
  if (typeof version !== 'string') return [];
  if (version === own) return [fine('version', `both are ${own}`)];
  return [odd('version', `the client is ${own}, the daemon ${version}`, 'install the same version of both')];
}

function checkTarget({
  target,
  reachable,
  unreachable_reason: reason,
  unreachable_since: since,
}: DaemonInfo): Finding[] {
  if (typeof reachable !== 'boolean') return [];
  if (reachable) return [fine('incus', `${String(target)} answers the daemon`)];
  const text =
    typeof reason === 'string' ? reason.replace(/\.$/, '') : `${String(target)} does not answer the daemon`;
  const when = typeof since === 'string' ? ` since ${since}` : '';
  const at = text.indexOf('; ');
  const advice =
    at === -1
      ? "see whether Incus runs on the daemon's machine (systemctl status incus)"
      : text.slice(at + 2);
  return [bad('incus', `${at === -1 ? text : text.slice(0, at)}${when}; files are taken and wait`, advice)];
}

function checkDisk({ free_bytes: free, limits }: DaemonInfo): Finding[] {
  const least = (limits as { min_free_space?: unknown } | undefined)?.min_free_space;
  if (typeof free !== 'number' || typeof least !== 'number') return [];
  const about = `${formatSize(free)} free where the daemon keeps files, of which ${formatSize(least)} must stay`;
  const advice = 'make room there, or lower min-free-space or retention of incus-uploadd';
  if (free <= least) return [bad('disk', `${about}: uploads are refused`, advice)];
  return free < least * 2 ? [odd('disk', about, advice)] : [fine('disk', about)];
}

function checkQueue({ jobs, limits, draining }: DaemonInfo): Finding[] {
  if (typeof jobs !== 'object' || jobs === null) return [];
  const count = (state: string): number => Number((jobs as Record<string, unknown>)[state] ?? 0);
  const open = count('queued') + count('delivering') + count('deferred');
  const most = Number((limits as { max_queued_jobs?: unknown } | undefined)?.max_queued_jobs ?? Number.NaN);
  const findings: Finding[] = [];
  if (draining === true) findings.push(odd('queue', 'the daemon is stopping', 'wait until it is back'));
  if (open >= most)
    findings.push(
      bad(
        'queue',
        `it is full: ${open} jobs of ${most}`,
        'see incus-upload jobs, or raise max-queued-jobs of incus-uploadd',
      ),
    );
  else if (open >= most * 0.9)
    findings.push(odd('queue', `it is nearly full: ${open} jobs of ${most}`, 'see incus-upload jobs'));
  const deferred = count('deferred');
  if (deferred > 0)
    findings.push(
      odd(
        'queue',
        `${jobsOf(deferred)} failed and will be tried again`,
        'see incus-upload jobs --state deferred',
      ),
    );
  const failed = count('failed');
  if (failed > 0)
    findings.push(
      odd(
        'queue',
        `${jobsOf(failed)} failed for good`,
        'see incus-upload jobs --state failed, then incus-upload retry ID',
      ),
    );
  return findings.length > 0 ? findings : [fine('queue', `${jobsOf(open)} on the way, none failed`)];
}

function jobsOf(count: number): string {
  return count === 1 ? '1 job' : `${count} jobs`;
}
