/** The end of a run, for people. */
import { POINTS } from './lives.ts';
import type { TargetResult } from './run-target.ts';

export function formatSummary(seed: string, results: readonly TargetResult[]): string {
  const lines = [`seed ${seed}`];
  for (const result of results) {
    const { kind, lives, account } = result;
    const kills = sum(lives.kills);
    lines.push(
      `${kind}: ${result.accepted} uploads accepted (${result.batches} of them for several destinations, ${result.archives} archives, ${result.replays} asked again), ${result.unanswered} never answered, ` +
        `${result.cut} cut, ${sum(result.refused)} refusals`,
      `  refusals: ${row(result.refused)}`,
      `  ${kills} SIGKILLs: ${row(lives.kills)}; ${lives.stops} SIGTERMs, ${lives.freezes} freezes, ${lives.powerCuts} power cuts with ${result.lost} files lost, ` +
        `slowest start ${(lives.slowestStartMs / 1000).toFixed(1)} s`,
      `  faults: ${row(result.faults)}`,
    );
    if (account !== undefined) {
      lines.push(
        `  jobs: ${account.delivered} delivered, ${account.failed} failed, ${account.cancelled} cancelled, ` +
          `${account.unanswered} of uploads without an answer; ${account.attempts} attempts counted`,
        `  failures: ${row(account.failures)}`,
      );
    }
    lines.push(
      `  ${result.looks} looks at files, ${result.redeliveries} deliveries seen twice, ` +
        `drained in ${(result.drainMs / 1000).toFixed(1)} s, fsck ${result.fsck ? 'ran' : 'not there'}`,
    );
  }
  const killed = new Map<string, number>(POINTS.map(([point]) => [point, 0]));
  for (const { lives } of results) {
    for (const [point, count] of Object.entries(lives.kills))
      killed.set(point, (killed.get(point) ?? 0) + count);
  }
  const missed = POINTS.map(([point]) => point).filter((point) => killed.get(point) === 0);
  lines.push(
    `in all: ${results.reduce((total, { accepted }) => total + accepted, 0)} uploads accepted, ` +
      `${sum(Object.fromEntries(killed))} SIGKILLs: ${row(Object.fromEntries(killed))}`,
    ...(missed.length === 0 ? [] : [`  no SIGKILL hit ${missed.join(', ')}: the run was too short for it`]),
  );
  const breaches = results.flatMap(({ kind, breaches: own }) => own.map((line) => `BREACH ${kind}: ${line}`));
  lines.push(...breaches, `${breaches.length} breaches`);
  return `${lines.join('\n')}\n`;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

function row(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.map(([name, count]) => `${name} ${count}`).join(', ') || 'none';
}
