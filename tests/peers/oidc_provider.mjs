// The certified OpenID provider of npm, with accounts that log in by a plain form, and told what to do by its owner.
//
//   node oidc_provider.mjs <configuration.json>        (in the folder that has `node_modules`)
//
// It prints `{"ready":true}`, then reads one JSON request per line and answers each with one line. See `commands`.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

// What it has to say to developers is no answer to the owner.
console.info = console.error;

const { Provider } = createRequire(`${process.cwd()}/`)('oidc-provider');

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const accounts = new Map(config.accounts.map((account) => [account.sub, account]));
const requests = [];
const failures = [];
let trouble = { mode: 'none' };

// ---- storage, which outlives the provider object: that one is made anew with each set of keys

const stored = new Map();

class Storage {
  constructor(model) {
    this.model = model;
  }
  key(id) {
    return `${this.model}:${id}`;
  }
  async upsert(id, payload) {
    stored.set(this.key(id), payload);
  }
  async find(id) {
    return stored.get(this.key(id));
  }
  async findBy(wanted) {
    return [...stored].find(([key, payload]) => key.startsWith(`${this.model}:`) && wanted(payload))?.[1];
  }
  async findByUserCode(code) {
    return this.findBy((payload) => payload.userCode === code);
  }
  async findByUid(uid) {
    return this.findBy((payload) => payload.uid === uid);
  }
  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    stored.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, payload] of stored) if (payload.grantId === grantId) stored.delete(key);
  }
}

// ---- keys

function pair(alg) {
  const made =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...made.privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomUUID().slice(0, 8)}` };
}

const fresh = () => [pair('ES256'), pair('RS256')];
let keys = fresh();

// ---- the provider

function account(sub) {
  const found = accounts.get(sub);
  if (!found || found.disabled) return undefined;
  const { password, acr, amr, ...claims } = found;
  return { accountId: sub, claims: async () => claims };
}

function loginOf(found) {
  // An account may have authenticated a while ago, for tests of `max_age`.
  const ts = Math.floor(Date.now() / 1000) - (found.authenticated_ago ?? 0);
  return { accountId: found.sub, acr: found.acr, amr: found.amr, ts, remember: true };
}

function client(given) {
  const grants = given.grant_types ?? ['authorization_code', 'refresh_token'];
  return {
    response_types: grants.includes('authorization_code') ? ['code'] : [],
    redirect_uris: [],
    token_endpoint_auth_method: 'client_secret_basic',
    ...given,
    grant_types: grants,
  };
}

function build() {
  const provider = new Provider(config.issuer, {
    adapter: Storage,
    clients: config.clients.map(client),
    jwks: { keys },
    findAccount: async (_, sub) => account(sub),
    acrValues: [...new Set(config.accounts.map((found) => found.acr).filter(Boolean))],
    claims: {
      openid: ['sub', 'acr', 'amr', 'auth_time'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'given_name', 'family_name', 'updated_at'],
      groups: ['groups'],
    },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
    // Claims in the ID token as well: most providers of companies do so.
    conformIdTokenClaims: false,
    // Its own dispatcher refuses private addresses, and there are no others in a test.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    clientBasedCORS: () => false,
    pkce: { required: () => true },
    cookies: { keys: [config.cookie_key] },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (_, asking) => asking.grantTypeAllowed('refresh_token'),
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    ttl: {
      AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, DeviceCode: 300, Grant: 86400, IdToken: 600,
      Interaction: 600, RefreshToken: 86400, Session: 86400, ...config.ttl,
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => undefined,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_, audience) => ({
          audience,
          scope: (config.resource_scopes ?? []).join(' '),
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  const failed = (kind) => (ctx, error) =>
    failures.push({ kind, error: error?.error ?? error?.message, detail: error?.error_description ?? error?.error_detail });
  provider.on('authorization.error', failed('authorization'));
  provider.on('grant.error', failed('grant'));
  provider.on('server_error', failed('server'));
  provider.on('backchannel.error', (_, error, told, sub, sid) =>
    failures.push({ kind: 'backchannel', error: error.message, client: told.clientId, sub, sid }));
  provider.on('backchannel.success', (_, told, sub, sid) =>
    requests.push({ kind: 'backchannel', client: told.clientId, sub, sid }));
  return provider;
}

let provider = build();
let answer = provider.callback();

// ---- the pages of login and consent

const escape = (text) => String(text).replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);

function page(res, status, body) {
  res.writeHead(status, { 'content-type': 'text/html; charset=utf-8' });
  res.end(`<!doctype html><title>Login</title>${body}`);
}

const loginForm = (uid, note) => `${note}<form method="post" action="/interaction/${escape(uid)}">
<input name="login" value=""><input type="password" name="password" value="">
<button type="submit">Log in</button><button type="submit" name="abort" value="yes">Cancel</button></form>`;

async function body(req) {
  const pieces = [];
  for await (const piece of req) pieces.push(piece);
  return new URLSearchParams(Buffer.concat(pieces).toString('utf8'));
}

function named(login) {
  return [...accounts.values()].find((found) => [found.sub, found.preferred_username, found.email].includes(login));
}

async function interact(req, res) {
  const details = await provider.interactionDetails(req, res);
  const finish = (result) => provider.interactionFinished(req, res, result, { mergeWithLastSubmission: true });
  if (details.prompt.name === 'consent') return finish({ consent: { grantId: await grant(details) } });
  if (req.method !== 'POST') {
    const hinted = named(details.params.login_hint);
    if (hinted && config.login_by_hint) return finish({ login: loginOf(hinted) });
    return page(res, 200, loginForm(details.uid, ''));
  }
  const form = await body(req);
  if (form.get('abort')) return finish({ error: 'access_denied', error_description: 'the person has cancelled' });
  const found = named(form.get('login'));
  if (!found || found.disabled || (found.password ?? '') !== form.get('password')) {
    return page(res, 403, loginForm(details.uid, '<p>wrong name or password</p>'));
  }
  return finish({ login: loginOf(found) });
}

async function grant({ grantId, params, session, prompt }) {
  const given = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) given.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) given.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    given.addResourceScope(resource, scopes.join(' '));
  }
  return given.save();
}

// ---- the server

async function serve(req, res) {
  const noted = { kind: 'request', method: req.method, url: req.url };
  requests.push(noted);
  res.on('close', () => Object.assign(noted, { status: res.statusCode, ended: res.writableEnded }));
  if (trouble.mode === 'down') return res.writeHead(503, { 'retry-after': '1' }).end('down for maintenance');
  if (trouble.mode === 'reset') return req.socket.destroy();
  if (trouble.mode === 'silent') return undefined;
  if (trouble.mode === 'garbage') return res.writeHead(200, { 'content-type': 'application/json' }).end('{"issuer":');
  if (trouble.mode === 'slow') await new Promise((done) => setTimeout(done, trouble.milliseconds));
  if (!req.url.startsWith('/interaction/')) return answer(req, res);
  return interact(req, res).catch((error) => page(res, 400, `<p>${escape(error.message)}</p>`));
}

const server = createServer({ key: readFileSync(config.key), cert: readFileSync(config.certificate) }, serve);

// ---- what the owner can ask for

async function sessionsOf(sub) {
  const found = [...stored].filter(([key, payload]) => key.startsWith('Session:') && payload.accountId === sub);
  return Promise.all(found.map(([key]) => provider.Session.find(key.slice('Session:'.length))));
}

async function endSession(session) {
  const told = [];
  for (const [clientId, { sid }] of Object.entries(session.authorizations ?? {})) {
    const asked = await provider.Client.find(clientId);
    if (asked?.backchannelLogoutUri) {
      // Fails with an event, never with an exception: the log has it.
      told.push(asked.backchannelLogout(session.accountId, sid).then(
        () => provider.emit('backchannel.success', undefined, asked, session.accountId, sid),
        (error) => provider.emit('backchannel.error', undefined, error, asked, session.accountId, sid),
      ));
    }
    for (const [key, payload] of stored) {
      if (payload.accountId === session.accountId && payload.clientId === clientId && !key.startsWith('Client:')) {
        stored.delete(key);
      }
    }
  }
  await Promise.all(told);
  await session.destroy();
  return told.length;
}

const commands = {
  // New keys sign from now on; the old ones stay published unless told otherwise.
  rotate: async ({ keep = true }) => {
    keys = keep ? [...fresh(), ...keys] : fresh();
    provider = build();
    answer = provider.callback();
    return { kids: keys.map((key) => key.kid) };
  },
  // Ends the sessions of a person, revokes what they were given, and tells the clients by back-channel logout.
  end_sessions: async ({ sub }) => {
    let told = 0;
    for (const session of await sessionsOf(sub)) if (session) told += await endSession(session);
    return { told };
  },
  // Adds an account, or changes some of its members.
  account: async ({ account: changed }) => {
    accounts.set(changed.sub, { ...accounts.get(changed.sub), ...changed });
    return {};
  },
  // The code of the last device that waits, as it shows it to the person.
  user_code: async () => {
    const waiting = [...stored].filter(([key]) => key.startsWith('DeviceCode:')).map(([, payload]) => payload.userCode);
    return { code: waiting.at(-1) };
  },
  // none, down, reset, silent, garbage, or slow with milliseconds.
  trouble: async (wanted) => {
    trouble = wanted;
    return {};
  },
  // What was asked of it, and what went wrong, since the last such command.
  log: async () => ({ requests: requests.splice(0), failures: failures.splice(0) }),
};

async function obey(line) {
  const { command, ...rest } = JSON.parse(line);
  return commands[command](rest);
}

const [address, port] = [config.listen.address, config.listen.port];
server.listen(port, address, async () => {
  console.log(JSON.stringify({ ready: true }));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await obey(line).catch((error) => ({ error: error.message }))));
  }
  process.exit(0);
});
