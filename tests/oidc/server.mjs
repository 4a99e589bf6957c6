// A real authorization server (npm oidc-provider) for the tests: client credentials, JWT and opaque access tokens, own keys.
//
// Usage: node server.mjs '{"audience", "clients": [...], "tls": {"key", "cert", "ca"}, "nonces"}'
// A client: {"id", "scope", "alg"} and how it proves itself: {"secret"}, {"jwks"} or {"certificate": "dns name"};
// "opaque": its tokens say nothing themselves; "bound": they are bound to its certificate; "dpop": to its key;
// "introspects": it asks what tokens say; "signed": and wants that signed.
// `tls` names PEM files and may be left out. `nonces`: DPoP proofs need the server's nonce.
// Listens on a free port of 127.0.0.1 and prints one line of JSON: {"event": "ready", "issuer": "..."}.
// POST /rotate makes new keys; with ?keep=1 the old ones stay published.

import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Provider from 'oidc-provider';

const { audience, clients, tls, nonces } = JSON.parse(process.argv[2]);
const scopes = [...new Set(clients.flatMap((client) => (client.scope ? client.scope.split(' ') : [])))];
const nonceSecret = randomBytes(32);

function newKeys() {
  const jwk = (alg, type, options) => {
    const { privateKey } = generateKeyPairSync(type, options);
    return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID()}` };
  };
  return [jwk('ES256', 'ec', { namedCurve: 'P-256' }), jwk('RS256', 'rsa', { modulusLength: 2048 })];
}

function authentication({ secret, jwks, certificate }) {
  if (jwks) {
    return { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: jwks } };
  }
  if (certificate) {
    return { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_dns: certificate };
  }
  return { client_secret: secret };
}

function provider(issuer, keys) {
  return new Provider(issuer, {
    clients: clients.map((client) => ({
      client_id: client.id,
      scope: client.scope || undefined,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      ...authentication(client),
      ...(client.bound ? { tls_client_certificate_bound_access_tokens: true } : {}),
      ...(client.dpop ? { dpop_bound_access_tokens: true } : {}),
      ...(client.signed ? { introspection_signed_response_alg: 'ES256' } : {}),
    })),
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth'],
    scopes,
    jwks: { keys },
    cookies: { keys: [randomUUID()] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: (_context, client) => clients.some(({ id, introspects }) => introspects && id === client.clientId),
      },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true },
      dPoP: { enabled: true, nonceSecret, requireNonce: () => nonces === true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        getCertificate: (context) => {
          const certificate = context.socket.getPeerX509Certificate?.();
          return certificate && certificate.toString();
        },
        certificateAuthorized: (context) => context.socket.authorized,
        certificateSubjectMatches: (context, property, expected) =>
          property === 'tls_client_auth_san_dns' && context.socket.getPeerX509Certificate().checkHost(expected) === expected,
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: (_context, resource, client) => {
          const { opaque, alg } = clients.find(({ id }) => id === client.clientId) ?? {};
          return {
            audience: resource,
            scope: scopes.join(' '),
            accessTokenFormat: opaque ? 'opaque' : 'jwt',
            accessTokenTTL: 300,
            ...(opaque ? {} : { jwt: { sign: { alg: alg ?? 'ES256' } } }),
          };
        },
      },
    },
  });
}

const server = tls
  ? https.createServer({
      key: readFileSync(tls.key),
      cert: readFileSync(tls.cert),
      ...(tls.ca ? { ca: readFileSync(tls.ca), requestCert: true, rejectUnauthorized: false } : {}),
    })
  : http.createServer();

server.listen(0, '127.0.0.1', () => {
  const issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
  let keys = newKeys();
  let handle = provider(issuer, keys).callback();
  server.on('request', (request, response) => {
    if (request.method === 'POST' && request.url.startsWith('/rotate')) {
      // The first key of an algorithm signs; what stands behind it is only published.
      keys = [...newKeys(), ...(request.url.endsWith('?keep=1') ? keys : [])];
      handle = provider(issuer, keys).callback();
      response.writeHead(204).end();
    } else {
      handle(request, response);
    }
  });
  console.log(JSON.stringify({ event: 'ready', issuer }));
});

// Ends with whoever started it.
process.stdin.on('end', () => process.exit(0)).resume();
