import { checkSpool, type FsckSummary } from '../spool/fsck.ts';
import type { Finding } from '../spool/fsck-finding.ts';

/** Exit status when something that was found is still there. */
const EXIT_FINDINGS = 1;

export type FsckCommand = {
  readonly stateDir: string;
  readonly repair: boolean;
  readonly json: boolean;
  readonly nowMs: number;
  readonly write: (text: string) => void;
};

/** `incus-uploadd fsck`: a line per finding and a summary, or one JSON object; resolves to the exit status. */
export async function runFsck({ stateDir, repair, json, nowMs, write }: FsckCommand): Promise<number> {
  const found: { finding: Finding; repaired: boolean }[] = [];
  const onFinding = (finding: Finding, repaired: boolean): void => {
    if (json) found.push({ finding, repaired });
    else write(formatFinding(finding, repaired));
  };
  const summary = await checkSpool({ stateDir, repair, nowMs, onFinding });
  write(json ? encodeFindings(summary, found) : formatSummary(summary));
  return summary.findings > summary.repaired ? EXIT_FINDINGS : 0;
}

function formatFinding({ kind, job, message, remedy }: Finding, repaired: boolean): string {
  const line = `${kind}: ${job === null ? '' : `${job}: `}${message}${repaired ? ` [${remedy}]` : ''}`;
  return `${line.replaceAll(/\p{Cc}/gu, '?')}\n`;
}

function formatSummary({ jobs, payloadFiles, findings, repaired }: FsckSummary): string {
  const checked = `${jobs} jobs and ${payloadFiles} payload files checked`;
  if (findings === 0) return `${checked}: clean\n`;
  const advice = repaired === 0 ? '; --repair mends them' : '';
  return `${checked}: ${findings} found, ${repaired} repaired${advice}\n`;
}

/** Names as in the HTTP interface: snake_case, unknown values null. */
function encodeFindings(
  { jobs, payloadFiles, findings, repaired }: FsckSummary,
  found: readonly { finding: Finding; repaired: boolean }[],
): string {
  return `${JSON.stringify({
    jobs,
    payload_files: payloadFiles,
    findings: found.map(({ finding: { kind, job, message, remedy }, repaired: done }) => ({
      kind,
      job,
      message,
      remedy,
      repaired: done,
    })),
    repaired,
    left: findings - repaired,
  })}\n`;
}
