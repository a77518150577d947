// An OpenID provider that is not ours (npm oidc-provider), for the tests.
//
//   node server.mjs SETTINGS
//
// SETTINGS is one JSON object:
//   certificateFile, privateKeyFile   PEM, for localhost and 127.0.0.1
//   port                              0 for a free one
//   users                             {name: {claim: value}}; any password is accepted
//   idTokenSeconds                    lifetime of an ID token
//   eventsFile                        one JSON line is appended for each request answered
//   redirectURIs                      further ones of the client that has a secret
//   backchannelLogoutUri              where clients are told of sign-outs; empty: they are not
// A line on stdin is a JSON object of users that takes the place of `users`: who is not in it has no
// account any more, and what is said of the others is true from then on. "{}" comes back on stdout
// once it is so. The first line on stdout is {"issuer": "https://localhost:PORT"}, once it listens. It ends when
// its stdin does, and so with the process that started it.
import { generateKeyPairSync } from 'node:crypto'
import { appendFileSync, readFileSync } from 'node:fs'
import https from 'node:https'
import { createInterface } from 'node:readline'
import { Provider } from 'oidc-provider'

const settings = JSON.parse(process.argv[2])
const SECOND_CLIENT_SECRET = 'a secret: with/odd+characters%'

const server = https.createServer({
  cert: readFileSync(settings.certificateFile),
  key: readFileSync(settings.privateKeyFile),
})

function signingKey (type, options, alg, kid) {
  const { privateKey } = generateKeyPairSync(type, options)
  return { ...privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' }
}

const refreshable = ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code']

function loggedOutAt () {
  if (!settings.backchannelLogoutUri) return {}
  return {
    backchannel_logout_uri: settings.backchannelLogoutUri,
    backchannel_logout_session_required: true,
  }
}

function configuration () {
  return {
    jwks: {
      keys: [
        signingKey('rsa', { modulusLength: 2048 }, 'RS256', 'rsa'),
        signingKey('ec', { namedCurve: 'P-256' }, 'ES256', 'ec'),
      ],
    },
    clients: [
      {
        client_id: 'kzproxy',
        application_type: 'native', // RFC 8252: any port of the loopback address
        token_endpoint_auth_method: 'none',
        redirect_uris: ['http://127.0.0.1/callback'],
        grant_types: refreshable,
        response_types: ['code'],
        require_auth_time: true,
        ...loggedOutAt(),
      },
      {
        client_id: 'kzproxy-with-secret',
        client_secret: SECOND_CLIENT_SECRET,
        // A native client may not have https://localhost, nor any other the loopback's every port.
        application_type: settings.redirectURIs.length ? 'web' : 'native',
        token_endpoint_auth_method: 'client_secret_basic',
        redirect_uris: ['http://127.0.0.1/callback', ...settings.redirectURIs],
        grant_types: refreshable,
        response_types: ['code'],
        require_auth_time: true,
        id_token_signed_response_alg: 'ES256',
        ...loggedOutAt(),
      },
    ],
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    claims: {
      openid: ['sub'],
      profile: ['preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
      auth_time: null,
      sid: null,
    },
    // kubectl sends the ID token alone, so the groups have to be in it and not only at userinfo.
    conformIdTokenClaims: false,
    findAccount: (ctx, id) => settings.users[id] && {
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, ...settings.users[id] }),
    },
    // Its own refuses to speak to this machine, and gives up after two and a half seconds, as long
    // as a busy machine may stand still: a sign-out would be lost, and nobody told.
    fetch: (url, { dispatcher, signal, ...options }) => globalThis.fetch(url, options),
    features: {
      backchannelLogout: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    ttl: {
      AccessToken: 300,
      DeviceCode: 600,
      Grant: 86400,
      IdToken: settings.idTokenSeconds,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 3600,
    },
  }
}

// What a client asked: names and public values only, never a code, a verifier or a token.
function event (ctx) {
  const { method, path, status } = ctx
  const params = ctx.oidc?.params ?? {}
  return {
    method,
    path,
    status,
    route: ctx.oidc?.route,
    parameters: Object.keys(params).filter((name) => params[name] !== undefined).sort(),
    grantType: params.grant_type,
    scope: params.scope,
    prompt: params.prompt,
    codeChallengeMethod: params.code_challenge_method,
  }
}

server.listen(settings.port, '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`
  const provider = new Provider(issuer, configuration())
  provider.use(async (ctx, next) => {
    await next()
    appendFileSync(settings.eventsFile, `${JSON.stringify(event(ctx))}\n`)
  })
  server.on('request', provider.callback())
  process.stdout.write(`${JSON.stringify({ issuer })}\n`)
})

function stop () {
  server.close(() => process.exit(0))
  server.closeAllConnections()
}
process.stdin.on('end', stop)
createInterface({ input: process.stdin }).on('line', (line) => {
  settings.users = JSON.parse(line)
  process.stdout.write('{}\n')
})
process.on('SIGTERM', stop)
