/**
 * A token as it is kept: what it allows, and the SHA-256 of its text. A token is 256 random bits, so nobody can try all
 * that fit a hash; the slow hashes that passwords need would only make every request slow. Whoever reads the state
 * directory learns no token.
 */
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Scope } from '../protocol/scope.ts';

/** Times are milliseconds since 1970. */
export type TokenRecord = {
  readonly name: string;
  /** Hex. */
  readonly sha256: string;
  readonly scope: Scope;
  readonly createdAt: number;
  /** Null: never. */
  readonly expiresAt: number | null;
};

const schema = z.object({
  v: z.literal(1),
  name: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  projects: z.array(z.string()),
  instances: z.array(z.string()),
  paths: z.array(z.string()),
  max_upload_size: z.number().int().nonnegative().nullable(),
  read_only: z.boolean(),
  created_at: z.number(),
  expires_at: z.number().nullable(),
});

export function encodeTokenRecord({ name, sha256, scope, createdAt, expiresAt }: TokenRecord): Buffer {
  const json: z.input<typeof schema> = {
    v: 1,
    name,
    sha256,
    projects: [...scope.projects],
    instances: [...scope.instances],
    paths: [...scope.paths],
    max_upload_size: scope.maxUploadSizeBytes,
    read_only: scope.readOnly,
    created_at: createdAt,
    expires_at: expiresAt,
  };
  return Buffer.from(`${JSON.stringify(json)}\n`);
}

/** Throws when the bytes are no record; nothing is guessed, since what is missing would allow more. */
export function decodeTokenRecord(bytes: Buffer): TokenRecord {
  const json = schema.parse(JSON.parse(bytes.toString('utf8')));
  return {
    name: json.name,
    sha256: json.sha256,
    scope: {
      projects: json.projects,
      instances: json.instances,
      paths: json.paths,
      maxUploadSizeBytes: json.max_upload_size,
      readOnly: json.read_only,
    },
    createdAt: json.created_at,
    expiresAt: json.expires_at,
  };
}

/** A new token. The prefix lets people and programs that look for leaked secrets know it. */
export function createToken(): string {
  return `iut_${randomBytes(32).toString('base64url')}`;
}

export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
