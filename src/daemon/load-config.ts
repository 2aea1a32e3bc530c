import { CodedError, messageOf, systemCode } from '../errors.ts';
import type { Config, ConfigKey } from './config.ts';
import { configProblems } from './config-checks.ts';
import { parseConfigFile } from './config-file.ts';
import { environmentName, fileKey, OPTIONS, type Option, type Surroundings } from './config-options.ts';
import { configSchema } from './config-schema.ts';

export const DEFAULT_CONFIG_FILE = '/etc/incus-upload/uploadd.yml';

/** The flags of the command line by option name, values as written; a switch that was given is `true`. */
export type Flags = Readonly<Record<string, string | readonly string[]>>;

export type LoadOptions = Omit<Surroundings, 'groupFile'> & {
  readonly flags: Flags;
  readonly readFile: (path: string) => Promise<string>;
};

/** One option as it took effect. */
export type Setting = {
  readonly name: string;
  readonly value: string | readonly string[];
  /** `--flag`, `INCUS_UPLOADD_NAME`, `FILE:LINE` or `default`. */
  readonly origin: string;
};

export type LoadedConfig = { readonly config: Config; readonly settings: readonly Setting[] };

/**
 * Puts the configuration together: a flag beats the environment, that beats the file, that beats the default. Throws
 * `config_invalid` with a sentence for each thing that is wrong, which names where it was given and what was expected.
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const groupFile = await options.readFile('/etc/group').catch(() => '');
  const surroundings: Surroundings = { ...options, groupFile };
  const file = await readConfigFile(options);

  const settings = OPTIONS.map((option): Setting => {
    const setting =
      fromFlags(option, options.flags) ??
      fromEnvironment(option, options.env) ??
      file(option) ??
      fromDefault(option, surroundings);
    const { value } = setting;
    return option.key === 'listen' && typeof value === 'string'
      ? { ...setting, value: value.split(',') }
      : setting;
  });

  const raw = Object.fromEntries(settings.map(({ value }, i) => [OPTIONS[i]?.key, value]));
  const parsed = configSchema.safeParse(raw);
  if (!parsed.success) {
    throw invalid(
      parsed.error.issues.map(({ path, message }) =>
        describe(settings, nameOf(path[0] as ConfigKey), message),
      ),
    );
  }
  const problems = configProblems(parsed.data, groupFile);
  for (const name of [
    'tls-cert',
    'tls-key',
    'tls-client-ca',
    'target-cert',
    'target-key',
    'target-server-cert',
  ]) {
    const path = parsed.data[keyOf(name)];
    const problem = typeof path === 'string' ? await unreadable(path, options.readFile) : undefined;
    if (problem !== undefined) problems.push({ name, message: problem });
  }
  if (problems.length > 0) {
    throw invalid(problems.map(({ name, message }) => describe(settings, name, message)));
  }
  return { config: parsed.data, settings };
}

type Lookup = (option: Option) => Setting | undefined;

async function readConfigFile({ flags, env, readFile }: LoadOptions): Promise<Lookup> {
  const variable = environmentName('config');
  const flag = flags.config;
  const asked = typeof flag === 'string' ? flag : env[variable] || undefined;
  const path = asked ?? DEFAULT_CONFIG_FILE;
  let yaml: string;
  try {
    yaml = await readFile(path);
  } catch (error) {
    if (asked === undefined && systemCode(error) === 'ENOENT') return () => undefined;
    const origin = flag === undefined && asked !== undefined ? variable : '--config';
    throw invalid([`${origin}: cannot read the config file ${path}: ${messageOf(error)}`]);
  }
  const values = parseConfigFile(yaml, path);
  return ({ name }) => {
    const found = values.get(name);
    return found && { name, value: found.value, origin: `${path}:${found.line}` };
  };
}

function fromFlags({ name }: Option, flags: Flags): Setting | undefined {
  const value = flags[name];
  return value === undefined ? undefined : { name, value, origin: `--${name}` };
}

/** An empty variable counts as none, as a line `NAME=` in an environment file means. */
function fromEnvironment({ name }: Option, env: LoadOptions['env']): Setting | undefined {
  const variable = environmentName(name);
  const value = env[variable];
  return value ? { name, value, origin: variable } : undefined;
}

function fromDefault({ name, fallback }: Option, surroundings: Surroundings): Setting {
  const value = fallback(surroundings);
  if (value === undefined) {
    const variable = name === 'listen' ? 'XDG_RUNTIME_DIR' : 'HOME';
    throw invalid([`${name}: there is no default, because ${variable} is not set; give --${name}`]);
  }
  return { name, value, origin: 'default' };
}

async function unreadable(path: string, readFile: LoadOptions['readFile']): Promise<string | undefined> {
  try {
    await readFile(path);
    return undefined;
  } catch (error) {
    return `cannot read ${path}: ${messageOf(error)}`;
  }
}

function nameOf(key: ConfigKey): string {
  return OPTIONS.find((option) => option.key === key)?.name ?? key;
}

function keyOf(name: string): ConfigKey {
  const found = OPTIONS.find((option) => option.name === name);
  if (found === undefined) throw new Error(`no option ${name}`);
  return found.key;
}

/** `FILE:LINE: key: message`, `--flag: message`, `VARIABLE: message` or, for a default, `name: message`. */
function describe(settings: readonly Setting[], name: string, message: string): string {
  const origin = settings.find((setting) => setting.name === name)?.origin ?? 'default';
  if (origin === 'default') return `${name}: ${message}`;
  return /:\d+$/.test(origin) ? `${origin}: ${fileKey(name)}: ${message}` : `${origin}: ${message}`;
}

function invalid(messages: readonly string[]): CodedError {
  return new CodedError('config_invalid', messages.join('; '));
}
