/** Certificate and key of https listeners. They are read again on SIGHUP; what cannot be used changes nothing. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { CodedError, messageOf } from '../errors.ts';
import type { TlsOptions } from '../http/server.ts';
import type { Config } from './config.ts';

/** As Node's `ticketKeys` wants them. */
const TICKET_KEY_BYTES = 48;

/** Reads certificate, key and client CA; null when no certificate is configured. Failures are `config_invalid`. */
export async function readTlsOptions({ tlsCert, tlsKey, tlsClientCa }: Config): Promise<TlsOptions | null> {
  if (tlsCert === null || tlsKey === null) return null;
  try {
    const cert = await readFile(tlsCert);
    const key = await readFile(tlsKey);
    const ca = tlsClientCa === null ? undefined : await readFile(tlsClientCa);
    if (ca !== undefined && !ca.includes('-----BEGIN CERTIFICATE-----'))
      throw new Error(`${tlsClientCa} holds no certificate in PEM`);
    // Said now, with the files' names, rather than at the first connection.
    createSecureContext({ cert, key, ca });
    return {
      cert,
      key,
      minVersion: 'TLSv1.2',
      // Of this reading: nobody goes on with a session whose client certificate was judged by an earlier one.
      ticketKeys: randomBytes(TICKET_KEY_BYTES),
      // Whoever shows no certificate, or a wrong one, may still have a token.
      ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false }),
    };
  } catch (error) {
    const files = [tlsCert, tlsKey, ...(tlsClientCa === null ? [] : [tlsClientCa])].join(', ');
    throw new CodedError('config_invalid', `cannot use the TLS files ${files}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
