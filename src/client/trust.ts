/** How an https daemon is recognized, and how we show who we are. Undefined members: as the system does it. */
export type Trust = {
  /** Hex SHA-256 of the only certificate that is accepted; without it one that the system's authorities vouch for. */
  readonly fingerprint?: string | undefined;
  /** Path of our certificate, PEM, for a daemon that asks for one. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
};

/** A SHA-256 fingerprint as openssl, incus or a browser print it, as lower-case hex, or undefined when it is none. */
export function parseFingerprint(text: string): string | undefined {
  const hex = text
    .trim()
    .replace(/^sha-?256(?:\s+fingerprint\s*=|[ :])/i, '')
    .replaceAll(/[:\s]/g, '')
    .toLowerCase();
  return /^[0-9a-f]{64}$/.test(hex) ? hex : undefined;
}
