import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { nearestName } from '../base/nearest-name.ts';
import { CodedError } from '../errors.ts';
import { fileKey, OPTIONS } from './config-options.ts';

export type FileValue = { readonly value: string | readonly string[]; readonly line: number };

/**
 * Reads a YAML config file into the text of each option, by the option's name. Values are taken as they are written, so
 * that `0660` stays an octal mode. Whatever is wrong is `config_invalid` and names file, line and key.
 */
export function parseConfigFile(yaml: string, file: string): Map<string, FileValue> {
  const lines = new LineCounter();
  const lineAt = (node: unknown): number => lines.linePos(rangeStart(node)).line;
  const bad = (line: number, message: string): CodedError =>
    new CodedError('config_invalid', `${file}:${line}: ${message}`);

  const document = parseDocument(yaml, { lineCounter: lines, prettyErrors: false });
  const [broken] = document.errors;
  if (broken !== undefined) throw bad(lines.linePos(broken.pos[0]).line, `not valid YAML: ${broken.message}`);

  const values = new Map<string, FileValue>();
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return values;
  if (!isMap(contents)) throw bad(lineAt(contents), 'expected lines of the form KEY: VALUE');

  const names = new Map(OPTIONS.map(({ name }) => [fileKey(name), name]));
  for (const { key, value } of contents.items) {
    const line = lineAt(key);
    const written = isScalar(key) ? String(key.value) : '';
    const name = names.get(written);
    if (name === undefined) {
      const nearest = nearestName(written.toLowerCase().replaceAll('-', '_'), names.keys());
      const hint = nearest === undefined ? '; see incus-uploadd.yml(5)' : `; did you mean ${nearest}?`;
      throw bad(line, `unknown key ${JSON.stringify(written)}${hint}`);
    }
    const text = textOf(value, name === 'listen');
    if (text === undefined) {
      const expected = name === 'listen' ? 'an address or a list of addresses' : 'one plain value';
      throw bad(line, `${written}: expected ${expected}`);
    }
    values.set(name, { value: text, line });
  }
  return values;
}

function textOf(node: unknown, mayBeList: boolean): string | string[] | undefined {
  if (isScalar(node)) return node.value === null ? undefined : (node.source ?? String(node.value));
  if (!mayBeList || !isSeq(node)) return undefined;
  const texts: string[] = [];
  for (const item of node.items) {
    const text = textOf(item, false);
    if (typeof text !== 'string') return undefined;
    texts.push(text);
  }
  return texts;
}

function rangeStart(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}
