/** Repr-Digest (RFC 9530): a structured-field dictionary of algorithm=:base64: members; only sha-256 is looked at. */

/** Key, value as a byte sequence, parameters (RFC 9651 sections 3.1 and 3.2). */
const MEMBER = /^([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):[ \t]*(?:;.*)?$/;
const SHA256_BASE64 = /^[A-Za-z0-9+/]{43}=$/;

/** The hex SHA-256 in a `Repr-Digest` value; undefined when it has none; null when it is no such field. */
export function decodeReprDigest(value: string): string | undefined | null {
  let hex: string | undefined;
  for (const text of value.split(',')) {
    const [, algorithm, base64 = ''] = MEMBER.exec(text.trim()) ?? [];
    // Who sends a digest wants it checked: one that cannot be read is not passed over.
    if (algorithm === undefined) return null;
    if (algorithm !== 'sha-256') continue;
    if (!SHA256_BASE64.test(base64)) return null;
    // RFC 9651 section 3.2: of members with the same key only the last counts.
    hex = Buffer.from(base64, 'base64').toString('hex');
  }
  return hex;
}

export function encodeReprDigest(sha256Hex: string): string {
  return `sha-256=:${Buffer.from(sha256Hex, 'hex').toString('base64')}:`;
}
