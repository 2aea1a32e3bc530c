/** Header values in UTF-8: raw bytes as older clients send them, and RFC 8187's `UTF-8''percent-encoded`. */

/**
 * Node gives header values as latin1, one character a byte. The text those bytes mean in UTF-8, or undefined when
 * they are no UTF-8.
 */
export function decodeRawUtf8(value: string): string | undefined {
  if (!/[\u0080-\u00ff]/.test(value)) return value;
  const bytes = Buffer.from(value, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}

/** RFC 8187 section 3.2: charset "'" [ language ] "'" value-chars, with UTF-8 as the only charset. */
export function encodeExtValue(text: string): string {
  const encoded = encodeURIComponent(text).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `UTF-8''${encoded}`;
}

/** The text of an RFC 8187 ext-value, or undefined when it is none or its bytes are no UTF-8. */
export function decodeExtValue(value: string): string | undefined {
  const match = /^utf-8'[A-Za-z0-9-]*'((?:[A-Za-z0-9!#$&+.^_`|~/-]|%[0-9A-Fa-f]{2})*)$/i.exec(value);
  if (match === null) return undefined;
  try {
    return decodeURIComponent(match[1] ?? '');
  } catch {
    return undefined;
  }
}

/** Whether a text can stand in a header as it is: printable ASCII without outer blanks. */
export function isPlainHeaderValue(text: string): boolean {
  return /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text);
}
