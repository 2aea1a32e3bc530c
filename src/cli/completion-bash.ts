import { JOB_STATES } from '../protocol/job.ts';
import {
  type CompletedCommand,
  type Operand,
  PASSED_ON,
  REMOTE_COMMANDS,
  SHELLS,
} from './completed-command.ts';

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
  const passed = [...PASSED_ON].join(' | ');
  return `# bash completion for incus-upload
_incus_upload_ask() {
  incus-upload "$@" "\${given[@]}" 2>/dev/null
}
_incus_upload_jobs() {
  local state
  if (($# == 0)); then _incus_upload_ask jobs -q --limit 200; fi
  for state; do _incus_upload_ask jobs -q --limit 200 --state "$state"; done
}
# Files, and where a destination may stand instances too. The names of files are quoted here: quoted by readline, as
# filenames are, the colon behind an instance would become a part of its name.
_incus_upload_operand() {
  local -a files=() instances=()
  local file
  mapfile -t files < <(compgen -f -- "$word")
  if (($1 > 0)) && [[ $word != */* && $word != .* && $word != '~'* ]]; then
    mapfile -t instances < <(compgen -S : -W "$(_incus_upload_ask instances -q)" -- "$word")
  fi
  if ((\${#instances[@]} == 0)); then
    compopt -o filenames 2>/dev/null
    COMPREPLY=("\${files[@]}")
    return
  fi
  compopt -o nospace 2>/dev/null
  COMPREPLY=("\${instances[@]}")
  for file in "\${files[@]}"; do
    if [[ -d $file ]]; then printf -v file '%q/' "$file"; else printf -v file '%q ' "$file"; fi
    COMPREPLY+=("$file")
  done
}
_incus_upload() {
  local word=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command="" options="" words="" sources="" operands=0 i
  local -a given=()
  COMPREPLY=()
  # The colon of INSTANCE:/path divides words; what comes behind it only the instance knows.
  if [[ ($word == : || $previous == :) && \${COMP_WORDS[1]} != -* ]]; then return; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${passed}) ((i + 1 == COMP_CWORD)) || given+=("\${COMP_WORDS[i]}" "\${COMP_WORDS[i + 1]}"); ((i++)) ;;
      ${[...withValue].filter((name) => !(PASSED_ON as readonly string[]).includes(name)).join(' | ')}) ((i++)) ;;
      -?*) ;;
      *) if [[ -z $command ]]; then command=\${COMP_WORDS[i]}; else ((operands++)); fi ;;
    esac
  done
  case $previous in
    --state) mapfile -t COMPREPLY < <(compgen -W "${JOB_STATES.join(' ')}" -- "$word"); return ;;
    --remote) mapfile -t COMPREPLY < <(compgen -W "$(incus-upload remote list -q 2>/dev/null)" -- "$word"); return ;;
    --instance) mapfile -t COMPREPLY < <(compgen -W "$(_incus_upload_ask instances -q)" -- "$word"); return ;;
    --project) mapfile -t COMPREPLY < <(compgen -W "$(_incus_upload_ask instances --projects)" -- "$word"); return ;;
    ${[...withFile].join(' | ')}) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    ${[...withValue].filter((name) => !ANSWERED.has(name) && !withFile.has(name)).join(' | ')}) return ;;
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
  elif [[ -n $sources ]]; then
    _incus_upload_operand "$operands"
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -F _incus_upload incus-upload`;
}

/** Options whose values have a line of their own. */
const ANSWERED: ReadonlySet<string> = new Set(['--state', '--remote', '--instance', '--project']);

function globalNames(commands: readonly CompletedCommand[]): string[] {
  return commands.find(({ name }) => name === 'info')?.options.flatMap(({ names }) => names) ?? [];
}

function words(operand: Operand, names: string): string {
  if (operand === 'source-or-destination') return 'sources=yes';
  if (operand === 'file') return 'words=$(compgen -f -- "$word")';
  if (operand === 'command') return `words="${names}"`;
  if (operand === 'shell') return `words="${SHELLS.join(' ')}"`;
  if (operand === 'state') return `words="${JOB_STATES.join(' ')}"`;
  if (operand === 'none') return ':';
  if (operand === 'remote')
    return `words="${REMOTE_COMMANDS.join(' ')} $(incus-upload remote list -q 2>/dev/null)"`;
  if (operand === 'instance') return 'words=$(_incus_upload_ask instances -q)';
  if (operand === 'project') return 'words=$(_incus_upload_ask instances --projects)';
  if (operand === 'remote-name') return 'words=$(incus-upload remote list -q 2>/dev/null)';
  return `[[ $word == -* ]] || words=$(_incus_upload_jobs${operand.jobsIn.map((state) => ` ${state}`).join('')})`;
}
