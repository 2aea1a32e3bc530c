/** Repr-Digest (RFC 9530): a structured-field dictionary of algorithm=:base64: members; only sha-256 is looked at. */

/** The hex SHA-256 in a `Repr-Digest` value; undefined when it has none; null when its sha-256 is malformed. */
export function decodeReprDigest(value: string): string | undefined | null {
  // RFC 9651 section 3.2: of members with the same key only the last counts.
  const last = [...value.matchAll(/(?:^|,)[ \t]*sha-256=([^,]*)/g)].at(-1);
  if (last === undefined) return undefined;
  const base64 = /^:([A-Za-z0-9+/]{43}=):[ \t]*$/.exec(last[1] ?? '')?.[1];
  if (base64 === undefined) return null;
  return Buffer.from(base64, 'base64').toString('hex');
}

export function encodeReprDigest(sha256Hex: string): string {
  return `sha-256=:${Buffer.from(sha256Hex, 'hex').toString('base64')}:`;
}
