import { JOB_STATES } from '../protocol/job.ts';
import {
  type CompletedCommand,
  type CompletedOption,
  type Operand,
  PASSED_ON,
  REMOTE_COMMANDS,
  SHELLS,
} from './completed-command.ts';

/** A completion script for zsh, for a file named `_incus-upload` in `$fpath`, or to be evaluated after compinit. */
export function completeInZsh(commands: readonly CompletedCommand[]): string {
  const list = commands.map(({ name, description }) => `    ${quote(`${name}:${description}`)}`).join('\n');
  const cases = commands
    .map(({ name, options, operand }) => {
      const specs = [...options.map(optionSpec), quote(`*: :${action(operand)}`)];
      return `    ${name}) _arguments -s ${specs.join(' \\\n      ')} ;;`;
    })
    .join('\n');
  const globals = commands.find(({ name }) => name === 'info')?.options ?? [];
  return `#compdef incus-upload
# zsh completion for incus-upload
_incus_upload_commands() {
  local -a commands
  commands=(
${list}
  )
  _describe command commands
}
_incus_upload_remotes() {
  local -a names
  names=("$@" \${(f)"$(incus-upload remote list -q 2>/dev/null)"})
  compadd -a names
}
_incus_upload_ask() {
  local -a given
  local i
  for ((i = 2; i < $#_incus_upload_line - 1; i++)); do
    case $_incus_upload_line[i] in
      (${PASSED_ON.join('|')}) given+=($_incus_upload_line[i] $_incus_upload_line[i+1]) ;;
    esac
  done
  incus-upload "$@" "\${given[@]}" 2>/dev/null
}
_incus_upload_jobs() {
  local -a ids
  local state
  (( $# )) || ids=(\${(f)"$(_incus_upload_ask jobs -q --limit 200)"})
  for state in "$@"; do
    ids+=(\${(f)"$(_incus_upload_ask jobs -q --limit 200 --state $state)"})
  done
  compadd -a ids
}
_incus_upload_instances() {
  local -a names
  names=(\${(f)"$(_incus_upload_ask instances -q)"})
  compadd "$@" -a names
}
_incus_upload_projects() {
  local -a names
  names=(\${(f)"$(_incus_upload_ask instances --projects)"})
  compadd -a names
}
_incus_upload_operand() {
  _files
  # The first word is a source.
  (( CURRENT > 2 )) && [[ $PREFIX != */* ]] && _incus_upload_instances -S :
}
_incus_upload() {
  local curcontext=$curcontext state line
  local -a _incus_upload_line=($words)
  _arguments -C -s ${globals.map(optionSpec).join(' \\\n    ')} \\
    '--version[print the version]' \\
    '1: :_incus_upload_commands' \\
    '*:: :->operands'
  [[ $state == operands ]] || return
  case $line[1] in
${cases}
  esac
}
if [[ $funcstack[1] == _incus-upload ]]; then
  _incus_upload "$@"
else
  compdef _incus_upload incus-upload
fi`;
}

function optionSpec({ names, description, value }: CompletedOption): string {
  const text = description.replace(/[[\]:\\]/g, '\\$&');
  const argument = value === undefined ? '' : `:value:${action(value)}`;
  const long = names.at(-1) ?? '';
  if (names.length === 1) return quote(`${long}[${text}]${argument}`);
  return `'(${names.join(' ')})'{${names.join(',')}}${quote(`[${text}]${argument}`)}`;
}

function action(operand: Operand): string {
  if (operand === 'file') return '_files';
  if (operand === 'command') return '_incus_upload_commands';
  if (operand === 'shell') return `(${SHELLS.join(' ')})`;
  if (operand === 'state') return `(${JOB_STATES.join(' ')})`;
  if (operand === 'none') return ' ';
  if (operand === 'remote') return `_incus_upload_remotes ${REMOTE_COMMANDS.join(' ')}`;
  if (operand === 'remote-name') return '_incus_upload_remotes';
  if (operand === 'instance') return '_incus_upload_instances';
  if (operand === 'project') return '_incus_upload_projects';
  if (operand === 'source-or-destination') return '_incus_upload_operand';
  return ['_incus_upload_jobs', ...operand.jobsIn].join(' ');
}

function quote(text: string): string {
  return `'${text.replace(/'/g, "'\\''")}'`;
}
