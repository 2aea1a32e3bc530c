import type { Command, Option } from 'commander';
import { CodedError } from '../errors.ts';
import { type CompletedCommand, type CompletedOption, type Operand, SHELLS } from './completed-command.ts';
import { completeInBash } from './completion-bash.ts';
import { completeInFish } from './completion-fish.ts';
import { completeInZsh } from './completion-zsh.ts';
import type { GlobalFlags } from './context.ts';
import { createOutput } from './output.ts';

const OPERANDS: Readonly<Record<string, Operand>> = {
  push: 'source-or-destination',
  show: { jobsIn: [] },
  wait: { jobsIn: ['queued', 'delivering', 'deferred'] },
  cancel: { jobsIn: ['queued', 'delivering', 'deferred'] },
  retry: { jobsIn: ['failed', 'deferred'] },
  remote: 'remote',
  completion: 'shell',
  help: 'command',
};

/** What values of options can be; of those that are not named nothing is known. */
const VALUES: Readonly<Record<string, Operand>> = {
  '--state': 'state',
  '--token-file': 'file',
  '--exclude-from': 'file',
  '--remote': 'remote-name',
  '--instance': 'instance',
  '--project': 'project',
  '--cert': 'file',
  '--key': 'file',
};

/** `completion SHELL`: a script made of the commands and options there are; it asks the daemon for job ids, instances and
 * projects. */
export async function runCompletion(shell: string, program: Command, flags: GlobalFlags): Promise<number> {
  const output = createOutput(flags);
  const commands = commandsOf(program);
  if (shell === 'bash') output.out(completeInBash(commands));
  else if (shell === 'zsh') output.out(completeInZsh(commands));
  else if (shell === 'fish') output.out(completeInFish(commands));
  else
    throw new CodedError(
      'usage',
      `No completion for ${JSON.stringify(shell)}; expected ${SHELLS.join(', ')}`,
    );
  return 0;
}

function commandsOf(program: Command): CompletedCommand[] {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    options: [...[command, ...command.commands].flatMap(({ options }) => options.map(optionOf)), HELP],
    operand: OPERANDS[command.name()] ?? ('none' as const),
  }));
  return [
    ...commands,
    { name: 'help', description: 'print help for a command', options: [], operand: 'command' },
  ];
}

const HELP: CompletedOption = { names: ['-h', '--help'], description: 'print help', value: undefined };

function optionOf(option: Option): CompletedOption {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  // A value that may be left out is not waited for.
  const value = option.required ? (VALUES[option.long ?? ''] ?? 'none') : undefined;
  return { names, description: option.description, value };
}
