'use strict';

// What errors of Node and OpenSSL are called in the relay protocol.
// What is not in a table is `internal`, which a gateway takes for the relay's fault: never blame a provider by guess.

const CONNECT_CODES = {
  ECONNREFUSED: 'connect_refused',
  ETIMEDOUT: 'connect_timeout',
  ENETUNREACH: 'connect_unreachable',
  EHOSTUNREACH: 'connect_unreachable',
  EHOSTDOWN: 'connect_unreachable',
  EADDRNOTAVAIL: 'connect_unreachable',
  EAFNOSUPPORT: 'connect_unreachable',
  ECONNRESET: 'connect_reset',
  EMFILE: 'busy',
  ENFILE: 'busy',
};

const RESET_CODES = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);

// Those of OpenSSL's verification (X509_V_ERR_…), as Node names them, and the comparison of names.
const CERTIFICATE_CODES = new Set([
  'ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_TLS_CERT_ALTNAME_FORMAT', 'UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_CRL',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE', 'UNABLE_TO_DECRYPT_CRL_SIGNATURE', 'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE', 'CRL_SIGNATURE_FAILURE', 'CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED', 'CRL_NOT_YET_VALID',
  'CRL_HAS_EXPIRED', 'ERROR_IN_CERT_NOT_BEFORE_FIELD', 'ERROR_IN_CERT_NOT_AFTER_FIELD', 'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_CHAIN_TOO_LONG', 'CERT_REVOKED', 'INVALID_CA', 'PATH_LENGTH_EXCEEDED', 'INVALID_PURPOSE', 'CERT_UNTRUSTED',
  'CERT_REJECTED', 'HOSTNAME_MISMATCH', 'UNSPECIFIED',
]);

// The code for an error of a connection that stands. `phase` is `handshake` or `open`.
function wireCode(error, phase) {
  const code = String(error.code);
  if (CERTIFICATE_CODES.has(code)) return 'tls_cert';
  // Node's own wording for an end of the connection in the handshake; it has the same code as a reset.
  if (phase === 'handshake' && code === 'ECONNRESET' && error.syscall === undefined) return 'tls_closed';
  if (RESET_CODES.has(code)) return 'reset';
  if (/^ERR_SSL_.*ALERT/.test(code)) return 'tls_alert';
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') || code === 'EPROTO') return 'tls_protocol';
  // Sent bytes were never acknowledged.
  if (code === 'ETIMEDOUT') return phase === 'handshake' ? 'tls_timeout' : 'write_timeout';
  if (code.startsWith('HPE_')) return 'answer_malformed';
  return 'internal';
}

module.exports = { CONNECT_CODES, wireCode };
