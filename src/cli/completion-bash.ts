import { JOB_STATES } from '../protocol/job.ts';
import { type CompletedCommand, type Operand, REMOTE_COMMANDS, SHELLS } from './completed-command.ts';

/** A completion script for bash; it needs no other package. */
export function completeInBash(commands: readonly CompletedCommand[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  const withValue = new Set(
    commands.flatMap(({ options }) =>
      options.filter(({ value }) => value !== undefined).flatMap((o) => o.names),
    ),
  );
  const all = commands.flatMap(({ options }) => options);
  const withFile = new Set(all.filter(({ value }) => value === 'file').flatMap((option) => option.names));
  const cases = commands.map(
    ({ name, options, operand }) =>
      `    ${name})
      options="${options.flatMap((option) => option.names).join(' ')}"
      ${words(operand, names)}
      ;;`,
  );
  return `# bash completion for incus-upload
_incus_upload_jobs() {
  local state
  if (($# == 0)); then incus-upload jobs -q --limit 200 2>/dev/null; fi
  for state; do incus-upload jobs -q --limit 200 --state "$state" 2>/dev/null; done
}
_incus_upload() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command="" options="" words="" files="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${[...withValue].join(' | ')}) ((i++)) ;;
      -*) ;;
      *) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  case $previous in
    --state) mapfile -t COMPREPLY < <(compgen -W "${JOB_STATES.join(' ')}" -- "$word"); return ;;
    --remote) mapfile -t COMPREPLY < <(compgen -W "$(incus-upload remote list -q 2>/dev/null)" -- "$word"); return ;;
    ${[...withFile].join(' | ')}) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    ${[...withValue].filter((name) => name !== '--state' && name !== '--remote' && !withFile.has(name)).join(' | ')}) return ;;
  esac
  case $command in
    "")
      options="${[...globalNames(commands), '--version'].join(' ')}"
      words="${names}"
      ;;
${cases.join('\n')}
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
  elif [[ -n $files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -F _incus_upload incus-upload`;
}

function globalNames(commands: readonly CompletedCommand[]): string[] {
  return commands.find(({ name }) => name === 'info')?.options.flatMap(({ names }) => names) ?? [];
}

function words(operand: Operand, names: string): string {
  if (operand === 'file') return 'files=yes';
  if (operand === 'command') return `words="${names}"`;
  if (operand === 'shell') return `words="${SHELLS.join(' ')}"`;
  if (operand === 'state') return `words="${JOB_STATES.join(' ')}"`;
  if (operand === 'none') return ':';
  if (operand === 'remote')
    return `words="${REMOTE_COMMANDS.join(' ')} $(incus-upload remote list -q 2>/dev/null)"`;
  if (operand === 'remote-name') return 'words=$(incus-upload remote list -q 2>/dev/null)';
  return `[[ $word == -* ]] || words=$(_incus_upload_jobs${operand.jobsIn.map((state) => ` ${state}`).join('')})`;
}
