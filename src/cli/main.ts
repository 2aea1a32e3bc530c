import type { Command } from 'commander';
import { CodedError } from '../errors.ts';
import { createOutput, exitStatusOf } from './output.ts';

const USAGE_STATUS = 64;

/** Runs the command line and resolves to the exit status. `args` are what follows the program's name. */
export async function main(args: readonly string[]): Promise<number> {
  const flags = { json: args.includes('--json'), debug: args.includes('--debug') };
  const output = createOutput(flags);
  const { CommanderError, createProgram } = await import('./program.ts');
  let status = 0;
  const program = createProgram((exitStatus) => {
    status = exitStatus;
  });
  let said = '';
  for (const command of withSubcommands(program)) {
    command.exitOverride();
    command.configureOutput({
      writeOut: (text) => output.out(text.replace(/\n$/, '')),
      writeErr: (text) => {
        said += text;
      },
      outputError: (text) => {
        said += text;
      },
    });
  }
  try {
    if (args.length === 0) {
      output.err(program.helpInformation().trimEnd());
      return USAGE_STATUS;
    }
    await program.parseAsync([...args], { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      output.fail(new CodedError('usage', usageMessage(said || error.message)));
      return USAGE_STATUS;
    }
    output.fail(error);
    return exitStatusOf(error);
  }
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

function usageMessage(said: string): string {
  const line = said
    .trim()
    .replace(/^error: /, '')
    .replace(/\n+/g, ' ')
    .replace(/\.$/, '');
  return `${line}; see incus-upload --help`;
}
