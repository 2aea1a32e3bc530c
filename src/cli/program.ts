import { Command, CommanderError, Option } from 'commander';
import type { FilterRule } from '../client/path-filter.ts';
import type { ConfigFilter } from '../protocol/destination-pattern.ts';
import { JOB_STATES } from '../protocol/job.ts';
import type { GlobalFlags } from './context.ts';
import { parseCount, parseFilterOption, parseId, parseModeOption, parseTimeout } from './option-values.ts';
import { addRemoteCommands } from './remote-commands.ts';
import { readVersion } from './version.ts';

/** What a command's action gets: its operands and options, decoded, and the global flags. */
export type Run = (flags: GlobalFlags, status: (exitStatus: number) => void) => void;

/**
 * The command line of `incus-upload`. Actions load what they need when they run. `finish` gets the exit status of the
 * command that ran.
 */
export function createProgram(finish: (exitStatus: number) => void): Command {
  const program = new Command('incus-upload');
  program
    .description('Hands files to incus-uploadd, which delivers them into Incus instances.')
    .version(readVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .addHelpText('after', '\nSee incus-upload(1) for exit statuses, JSON output and examples.');
  addGlobalOptions(program, false);

  const add = (usage: string, description: string): Command => {
    const command = program.command(usage).description(description);
    command.helpOption('-h, --help', 'print help');
    return command;
  };

  const rules: FilterRule[] = [];
  const collect = (text: string, before: string[]): string[] => [...before, text];
  const addRule = (kind: FilterRule['kind']) => (value: string) => rules.push({ kind, value });

  add('push <source...>', 'send files into an instance')
    .usage('[options] SOURCE... DESTINATION')
    .addHelpText(
      'after',
      '\nDESTINATION is INSTANCE:/path or INSTANCE/path. A path that ends in / is a directory; several sources need one.\nSeveral instances: web-1,web-2:/path, or a quoted pattern such as "web-*:/path"; the file is sent and stored once.\nThe source - is standard input. With -r a directory goes into the destination under its own name, the contents of DIR/. without it.',
    )
    .option('--to <destination>', 'a destination; every operand is then a source (repeatable)', collect, [])
    .option(
      '--all-with <key=value>',
      'only instances with this configuration, such as user.role=web (repeatable)',
      (text: string, before: ConfigFilter[]) => [...before, parseFilterOption(text)],
      [],
    )
    .option('-w, --wait', 'wait until the files are delivered or have failed')
    .option('--timeout <duration>', 'wait no longer than this, such as 90s or 1h30m', parseTimeout)
    .option('--checksum', 'send the SHA-256 of each file, which the daemon checks')
    .option('-j, --jobs <n>', 'upload so many files at once', parseCount(1), 4)
    .option('--retries <n>', 'try again so often when the daemon is away or busy', parseCount(0), 3)
    .option('--mode <mode>', 'octal mode of the file there (default: that of the source)', parseModeOption)
    .option('--uid <id>', 'numeric owner of the file there', parseId, 0)
    .option('--gid <id>', 'numeric group of the file there', parseId, 0)
    .option('-p, --create-dirs', 'make missing parent directories (the default)')
    .option('--no-create-dirs', 'fail when the parent directory is missing')
    .option('-r, --recursive', 'send directories with all that is in them')
    .option('-L, --dereference', 'with -r: send what symbolic links lead to')
    .option('--exclude <glob>', 'with -r: leave out what matches, as in gitignore(5)', addRule('exclude'))
    .option('--include <glob>', 'with -r: do not leave it out; the last match counts', addRule('include'))
    .option('--exclude-from <file>', 'with -r: read such patterns from a file', addRule('exclude-from'))
    .option('--extract', 'unpack the source there, a .tar, .tar.gz or .tar.zst')
    .action(async (operands: string[], _options: unknown, command: Command) => {
      const { runPush } = await import('./push.ts');
      finish(await runPush(operands, { ...command.opts(), rules }, globalFlags(command)));
    });

  add('jobs', 'list jobs, newest first')
    .addOption(new Option('--state <state>', 'only jobs in this state').choices(JOB_STATES))
    .option('--instance <name>', 'only jobs for this instance')
    .option('--batch <id>', 'only jobs of this batch')
    .option('--limit <n>', 'at most so many', parseCount(1), 50)
    .option('--watch', 'show the queue live, with keys to cancel and retry')
    .action(async (_options: unknown, command: Command) => {
      const { runJobs } = await import('./jobs.ts');
      finish(await runJobs(command.opts(), globalFlags(command)));
    });

  add('show <id>', 'show a job with its attempts, or a batch with its jobs').action(
    async (id: string, _options: unknown, command: Command) => {
      const { runShow } = await import('./show.ts');
      finish(await runShow(id, globalFlags(command)));
    },
  );

  add('wait <id...>', 'wait until jobs are delivered or have failed')
    .option('--timeout <duration>', 'wait no longer than this, such as 90s or 1h30m', parseTimeout)
    .action(async (ids: string[], _options: unknown, command: Command) => {
      const { runWait } = await import('./wait.ts');
      finish(await runWait(ids, command.opts(), globalFlags(command)));
    });

  add('cancel <id...>', 'cancel jobs that are not finished').action(
    async (ids: string[], _options: unknown, command: Command) => {
      const { runCancel } = await import('./cancel.ts');
      finish(await runCancel(ids, globalFlags(command)));
    },
  );

  add('retry <id...>', 'queue failed jobs again, and let deferred ones try at once').action(
    async (ids: string[], _options: unknown, command: Command) => {
      const { runRetry } = await import('./retry.ts');
      finish(await runRetry(ids, globalFlags(command)));
    },
  );

  add('instances', 'list the instances that files can be sent to')
    .option('--projects', 'list their projects instead')
    .action(async (_options: unknown, command: Command) => {
      const { runInstances } = await import('./instances.ts');
      finish(await runInstances(command.opts(), globalFlags(command)));
    });

  add('info', 'show what the daemon is, can and does').action(async (_options: unknown, command: Command) => {
    const { runInfo } = await import('./info.ts');
    finish(await runInfo(globalFlags(command)));
  });

  add('doctor', 'look at client, daemon and Incus, and say what is wrong').action(
    async (_options: unknown, command: Command) => {
      const { runDoctor } = await import('./doctor.ts');
      finish(await runDoctor(globalFlags(command)));
    },
  );

  addRemoteCommands(add('remote', 'know daemons by names'), globalFlags, finish);

  add('completion <shell>', 'print the completion script for bash, zsh or fish').action(
    async (shell: string, _options: unknown, command: Command) => {
      const { runCompletion } = await import('./completion.ts');
      finish(await runCompletion(shell, program, globalFlags(command)));
    },
  );

  for (const command of program.commands) addGlobalOptions(command, true);
  return program;
}

/**
 * Commands know the global options too, so that they may stand after the command and be bundled with its own (`-wq`);
 * help shows them once.
 */
function addGlobalOptions(command: Command, hidden: boolean): void {
  for (const option of [
    new Option('--url <url>', 'the daemon: unix:PATH, http://HOST:PORT or https://HOST:PORT'),
    new Option('--remote <name>', 'the daemon of that name, see: incus-upload remote'),
    new Option('--token-file <file>', 'read the token from this file'),
    new Option('--project <name>', 'the Incus project'),
    new Option('--json', 'print one JSON object a line'),
    new Option('-q, --quiet', 'print ids alone, and errors'),
    new Option('--no-progress', 'show no progress'),
    new Option('--color', 'use colour even if the output is no terminal'),
    new Option('--no-color', 'use no colour'),
    new Option('--debug', 'print stack traces of errors'),
  ]) {
    command.addOption(hidden ? option.hideHelp() : option);
  }
}

/** The flags given before and after the command; after wins. */
function globalFlags(command: Command): GlobalFlags {
  const given = (name: string): unknown => {
    for (let at: Command | null = command; at !== null; at = at.parent) {
      if (at.getOptionValueSource(name) === 'cli') return at.getOptionValue(name);
    }
    return undefined;
  };
  const text = (name: string): string | undefined => given(name) as string | undefined;
  return {
    url: text('url'),
    remote: text('remote'),
    tokenFile: text('tokenFile'),
    project: text('project'),
    json: given('json') === true,
    quiet: given('quiet') === true,
    progress: given('progress') !== false,
    color: given('color') as boolean | undefined,
    debug: given('debug') === true,
  };
}

export { CommanderError };
