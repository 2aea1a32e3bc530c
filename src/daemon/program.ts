/** The command line of incus-uploadd: its options, its commands, and how its errors look. */
import { readFile } from 'node:fs/promises';
import { Command, CommanderError, Option as Flag } from 'commander';
import { CodedError, ERRORS } from '../errors.ts';
import { encodeSettings, formatSettings } from './check.ts';
import { OPTIONS, type Option } from './config-options.ts';
import { type Flags, type LoadedConfig, loadConfig } from './load-config.ts';
import { becomeOwnerOf } from './state-owner.ts';
import { addTokenCommands } from './token-program.ts';
import { readVersion } from './version.ts';

const HELP_WIDTH = 100;

/** Runs `incus-uploadd` with the arguments after the program's name; resolves to its exit status. */
export async function run(argv: readonly string[]): Promise<number> {
  let status = 0;
  const program = createProgram((exitStatus) => {
    status = exitStatus;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      if (error.code === 'commander.excessArguments') {
        return complain(
          `unexpected argument ${JSON.stringify(program.args.at(-1))}; see --help`,
          ERRORS.usage.exit,
        );
      }
      return complain(error.message.replace(/^error: /, ''), ERRORS.usage.exit);
    }
    if (error instanceof CodedError) return complain(error.message, ERRORS[error.code].exit);
    throw error;
  }
}

function createProgram(end: (exitStatus: number) => void): Command {
  const program = new Command('incus-uploadd')
    .description('Takes files over HTTP, keeps them safe and delivers them into Incus instances.')
    .version(readVersion())
    .configureHelp({ showGlobalOptions: true, helpWidth: HELP_WIDTH })
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .addOption(
      new Flag('--config <FILE>', 'config file (default: /etc/incus-upload/uploadd.yml if it exists)'),
    );
  for (const option of OPTIONS) program.addOption(createFlag(option));
  program.addHelpText('after', '\nSee incus-uploadd(8) and incus-uploadd.yml(5).');

  const load = (): Promise<LoadedConfig> => loadHere(givenFlags(program));
  const serveUntilTold = async (): Promise<void> => {
    const { config } = await load();
    // Loaded late so that --help and check answer without opening anything that serving needs.
    const { serve } = await import('./serve.ts');
    end(await serve({ config, reload: async () => (await load()).config }));
  };
  program.action(serveUntilTold);
  program
    .command('serve')
    .description('take and deliver files until told to stop (the default)')
    .action(serveUntilTold);
  program
    .command('check')
    .description('print every option with its value and its origin; exit 78 when one is wrong')
    .option('--json', 'print one JSON object')
    .action(async ({ json }: { json?: boolean }) => {
      const { settings } = await load();
      process.stdout.write(json === true ? encodeSettings(settings) : formatSettings(settings));
    });
  program
    .command('fsck')
    .description('check journal and payloads while no daemon runs; exit 1 when something is wrong')
    .option('--repair', 'mend what can be mended; what cannot be used is moved to lost+found')
    .option('--json', 'print one JSON object')
    .action(async ({ repair = false, json = false }: { repair?: boolean; json?: boolean }) => {
      const { stateDir } = (await load()).config;
      const { runFsck } = await import('./fsck.ts');
      becomeOwnerOf(stateDir);
      const write = (text: string): void => void process.stdout.write(text);
      end(await runFsck({ stateDir, repair, json, nowMs: Date.now(), write }));
    });
  addTokenCommands(program.command('token'), {
    stateDir: async () => (await load()).config.stateDir,
    maxUploadSize: () => {
      const value = givenFlags(program)['max-upload-size'];
      return typeof value === 'string' ? value : undefined;
    },
  });
  return program;
}

function createFlag(option: Option): Flag {
  const fallback = option.fallbackHelp ?? (option.argument === null ? '' : option.fallback(NOWHERE));
  const flag = new Flag(
    option.argument === null ? `--${option.name}` : `--${option.name} <${option.argument}>`,
    fallback ? `${option.help} (default: ${fallback})` : option.help,
  );
  if (option.key === 'listen') {
    flag.argParser<string[]>((value, earlier) => [...(earlier ?? []), value]);
  }
  return flag;
}

/** For defaults that are the same everywhere. */
const NOWHERE = { env: {}, uid: 0, groupIds: [], groupFile: '', stderrIsTerminal: false };

/** Only what stood on the command line; commander's own defaults (`--no-auth` makes one) are none. */
function givenFlags(program: Command): Flags {
  const flags: Record<string, string | readonly string[]> = {};
  for (const option of program.options) {
    const attribute = option.attributeName();
    if (program.getOptionValueSource(attribute) !== 'cli') continue;
    const value: unknown = program.getOptionValue(attribute);
    const name = option.long?.slice(2) ?? attribute;
    flags[name] = Array.isArray(value) ? value.map(String) : option.negate ? 'true' : String(value);
  }
  return flags;
}

function loadHere(flags: Flags): Promise<LoadedConfig> {
  return loadConfig({
    flags,
    env: process.env,
    uid: process.getuid?.() ?? 0,
    groupIds: process.getgroups?.() ?? [],
    stderrIsTerminal: process.stderr.isTTY === true,
    readFile: (path) => readFile(path, 'utf8'),
  });
}

function complain(message: string, exitStatus: number): number {
  process.stderr.write(`incus-uploadd: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
  return exitStatus;
}
