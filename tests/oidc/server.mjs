// A real authorization server (npm oidc-provider) for the tests: client credentials, JWT access tokens, own keys.
//
// Usage: node server.mjs '{"audience": "...", "clients": [{"id", "secret", "scope", "alg"}], "tls": {"key", "cert"}}'
// `tls` names PEM files and may be left out. Listens on a free port of 127.0.0.1 and prints one line of JSON:
// {"event": "ready", "issuer": "..."}. POST /rotate makes new keys; with ?keep=1 the old ones stay published.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import Provider from 'oidc-provider';

const { audience, clients, tls } = JSON.parse(process.argv[2]);
const scopes = [...new Set(clients.flatMap((client) => client.scope.split(' ')))];

function newKeys() {
  const jwk = (alg, type, options) => {
    const { privateKey } = generateKeyPairSync(type, options);
    return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID()}` };
  };
  return [jwk('ES256', 'ec', { namedCurve: 'P-256' }), jwk('RS256', 'rsa', { modulusLength: 2048 })];
}

function provider(issuer, keys) {
  return new Provider(issuer, {
    clients: clients.map(({ id, secret, scope }) => ({
      client_id: id,
      client_secret: secret,
      scope,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    })),
    scopes,
    jwks: { keys },
    cookies: { keys: [randomUUID()] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      // Without a resource oidc-provider's tokens are opaque; naming the one there is makes them RFC 9068 JWTs.
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: (_context, resource, client) => ({
          audience: resource,
          scope: scopes.join(' '),
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: clients.find(({ id }) => id === client.clientId)?.alg ?? 'ES256' } },
        }),
      },
    },
  });
}

const server = tls
  ? https.createServer({ key: readFileSync(tls.key), cert: readFileSync(tls.cert) })
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
