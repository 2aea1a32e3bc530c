import { JOB_STATES } from '../protocol/job.ts';
import {
  type CompletedCommand,
  type CompletedOption,
  type Operand,
  PASSED_ON,
  REMOTE_COMMANDS,
  SHELLS,
} from './completed-command.ts';

/** A completion script for fish. */
export function completeInFish(commands: readonly CompletedCommand[]): string {
  const globals = commands.find(({ name }) => name === 'info')?.options ?? [];
  const known = new Set(globals.map(({ names }) => names.at(-1)));
  const names = commands.map(({ name }) => name).join(' ');
  const lines = [
    '# fish completion for incus-upload',
    'function __incus_upload_ask',
    '    set -l words (commandline -opc)',
    '    set -l given',
    '    for i in (seq 2 (math (count $words) - 1))',
    `        if contains -- $words[$i] ${PASSED_ON.join(' ')}`,
    '            set -a given $words[$i] $words[(math $i + 1)]',
    '        end',
    '    end',
    '    incus-upload $argv $given 2>/dev/null',
    'end',
    'function __incus_upload_jobs',
    '    if test (count $argv) -eq 0',
    '        __incus_upload_ask jobs -q --limit 200',
    '    end',
    '    for state in $argv',
    '        __incus_upload_ask jobs -q --limit 200 --state $state',
    '    end',
    'end',
    'complete -c incus-upload -f',
    ...globals.map((option) => `complete -c incus-upload ${optionArguments(option)}`),
    "complete -c incus-upload -n __fish_use_subcommand -l version -d 'print the version'",
    ...commands.map(
      ({ name, description }) =>
        `complete -c incus-upload -n __fish_use_subcommand -a ${name} -d ${quote(description)}`,
    ),
  ];
  for (const { name, options, operand } of commands) {
    const here = `complete -c incus-upload -n '__fish_seen_subcommand_from ${name}'`;
    for (const option of options) {
      if (!known.has(option.names.at(-1))) lines.push(`${here} ${optionArguments(option)}`);
    }
    const words = operandArguments(operand, names);
    if (words !== '') lines.push(`${here} ${words}`);
  }
  return lines.join('\n');
}

function optionArguments({ names, description, value }: CompletedOption): string {
  const parts = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  if (value !== undefined) parts.push(value === 'file' ? '-r' : '-x', operandArguments(value, ''));
  parts.push(`-d ${quote(description)}`);
  return parts.filter((part) => part !== '').join(' ');
}

function operandArguments(operand: Operand, names: string): string {
  if (operand === 'file') return '-F';
  if (operand === 'command') return `-a ${quote(names)}`;
  if (operand === 'shell') return `-a ${quote(SHELLS.join(' '))}`;
  if (operand === 'state') return `-a ${quote(JOB_STATES.join(' '))}`;
  if (operand === 'none') return '';
  const remotes = '(incus-upload remote list -q 2>/dev/null)';
  if (operand === 'remote') return `-a ${quote(`${REMOTE_COMMANDS.join(' ')} ${remotes}`)}`;
  if (operand === 'instance') return `-a ${quote('(__incus_upload_ask instances -q)')}`;
  if (operand === 'project') return `-a ${quote('(__incus_upload_ask instances --projects)')}`;
  if (operand === 'source-or-destination')
    return `-F -a ${quote("(__incus_upload_ask instances -q | string replace -r '$' :)")}`;
  if (operand === 'remote-name') return `-a ${quote(remotes)}`;
  return `-a ${quote(`(${['__incus_upload_jobs', ...operand.jobsIn].join(' ')})`)}`;
}

function quote(text: string): string {
  return `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
}
