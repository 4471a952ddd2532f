import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { exportJWK, type JWK } from 'jose';
import { type Adapter, type AdapterPayload, Provider } from 'oidc-provider';
import type { TokenIssuer } from '../../src/guard/policy/policyDocument.ts';
import { type SigningKey, signingKey } from './tokens.ts';

/** What the guard is to the provider: a resource server with an audience of its own (RFC 8707). */
const resource = 'https://guard.example.org/';
const audience = 'ollama';

/** As an application on somebody's computer has it; nothing listens there. */
const redirectUri = 'http://127.0.0.1/callback';

const ci = { id: 'ci-runner', secret: 'ci-runner-secret' } as const;
const editor = { id: 'editor' } as const;

/** What a person got by signing in. */
export interface PersonTokens {
  readonly accessToken: string;
  readonly idToken: string;
}

/** A real OpenID provider on loopback, with a program and people as its clients. */
export class OidcProvider {
  /** What it was asked for, in order. */
  readonly asked: string[] = [];
  /** The groups that its tokens say somebody is in. */
  groups: readonly string[] = ['staff'];
  readonly #lifetimeSeconds: number;
  #server: Server | undefined;
  #port = 0;
  #handler: (req: IncomingMessage, res: ServerResponse) => void = () => {};

  constructor(lifetimeSeconds: number) {
    this.#lifetimeSeconds = lifetimeSeconds;
  }

  get issuer(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** How a guard takes its tokens. */
  get config(): TokenIssuer {
    return {
      issuer: this.issuer,
      audience: [audience],
      claims: { role: 'groups' },
      roles: { admins: 'admin', staff: 'member' },
    };
  }

  /** Listens; on the same port as before when it did before. */
  async start(): Promise<void> {
    const server = createServer((req, res) => {
      this.asked.push(`${req.method} ${req.url?.split('?')[0]}`);
      this.#handler(req, res);
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Goes away and takes every connection along. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }

  /** Signs with the first of these keys from now on, and publishes them all. */
  async useKeys(...keys: readonly SigningKey[]): Promise<void> {
    const jwks = await Promise.all(
      keys.map(async ({ privateKey, jwk }) => ({ ...(await exportJWK(privateKey)), ...jwk })),
    );
    this.#handler = this.#serve(jwks);
  }

  /** A program's token (RFC 6749 §4.4). */
  async programToken(): Promise<string> {
    const { access_token } = await this.#token({ grant_type: 'client_credentials', resource, scope: 'infer' }, ci);
    return access_token;
  }

  /** A person's tokens, by authorization code with PKCE (RFC 6749 §4.1, RFC 7636), through every page of it. */
  async signIn(login: string): Promise<PersonTokens> {
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
      client_id: editor.id,
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: 'openid infer',
      resource,
      login_hint: login,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    const code = await this.#follow(`${this.issuer}/auth?${query}`);
    const tokens = await this.#token({
      grant_type: 'authorization_code',
      client_id: editor.id,
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
      resource,
    });
    return { accessToken: tokens.access_token, idToken: tokens.id_token };
  }

  /** As a browser goes from page to page, with its cookies, until the application is called with a code. */
  async #follow(start: string): Promise<string> {
    const cookies = new Map<string, string>();
    let url = start;
    for (let pages = 0; pages < 10; pages += 1) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const res = await fetch(url, { redirect: 'manual', headers: { cookie } });
      for (const line of res.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        if (name && value !== undefined) cookies.set(name, value);
      }
      const location = res.headers.get('location');
      if (location === null) throw new Error(`${res.status} ${await res.text()}`);
      url = new URL(location, url).href;
      if (url.startsWith(redirectUri)) return new URL(url).searchParams.get('code') ?? '';
    }
    throw new Error('too many pages');
  }

  async #token(
    form: Record<string, string>,
    client?: { readonly id: string; readonly secret: string },
  ): Promise<{ access_token: string; id_token: string }> {
    const authorization = `Basic ${Buffer.from(`${client?.id}:${client?.secret}`).toString('base64')}`;
    const res = await fetch(`${this.issuer}/token`, {
      method: 'POST',
      headers: client ? { authorization } : {},
      body: new URLSearchParams(form),
    });
    if (!res.ok) throw new Error(`${res.status} ${await res.text()}`);
    return (await res.json()) as { access_token: string; id_token: string };
  }

  #serve(keys: readonly JWK[]): (req: IncomingMessage, res: ServerResponse) => void {
    const signing = { id_token_signed_response_alg: keys[0]?.alg as 'ES256' };
    const provider = new Provider(this.issuer, {
      jwks: { keys: [...keys] as never },
      adapter: createAdapter(),
      cookies: { keys: ['of-a-test'] },
      clients: [
        {
          ...signing,
          client_id: ci.id,
          client_secret: ci.secret,
          grant_types: ['client_credentials'],
          redirect_uris: [],
          response_types: [],
        },
        {
          ...signing,
          client_id: editor.id,
          application_type: 'native',
          token_endpoint_auth_method: 'none',
          grant_types: ['authorization_code'],
          redirect_uris: [redirectUri],
        },
      ],
      clientDefaults: signing,
      scopes: ['openid', 'infer'],
      findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
      extraTokenClaims: () => ({ groups: [...this.groups] }),
      interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
      ttl: {
        AccessToken: this.#lifetimeSeconds,
        ClientCredentials: this.#lifetimeSeconds,
        AuthorizationCode: 60,
        IdToken: 3_600,
        Grant: 3_600,
        Interaction: 3_600,
        Session: 3_600,
      },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: () => ({ scope: 'infer', audience, accessTokenFormat: 'jwt' }),
        },
      },
    });
    const handle = provider.callback();
    return (req, res) => {
      if (req.url?.startsWith('/interaction/')) void interact(provider, req, res);
      else void handle(req, res);
    };
  }
}

/** What a person does on the pages of the provider: signs in by the name that was hinted at, and consents. */
async function interact(provider: Provider, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { prompt, params, session } = await provider.interactionDetails(req, res);
  if (prompt.name === 'login') {
    await provider.interactionFinished(req, res, { login: { accountId: String(params.login_hint) } });
    return;
  }
  const grant = new provider.Grant({ accountId: session?.accountId ?? '', clientId: editor.id });
  grant.addOIDCScope('openid infer');
  grant.addResourceScope(resource, 'infer');
  await provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } });
}

/** What a provider remembers, in memory. */
function createAdapter(): (model: string) => Adapter {
  const kept = new Map<string, AdapterPayload>();
  return (model) => ({
    upsert: async (id, payload) => void kept.set(`${model}:${id}`, payload),
    find: async (id) => kept.get(`${model}:${id}`),
    findByUid: async (uid) => [...kept.values()].find((payload) => payload.kind === model && payload.uid === uid),
    findByUserCode: async () => undefined,
    consume: async (id) => void Object.assign(kept.get(`${model}:${id}`) ?? {}, { consumed: 1 }),
    destroy: async (id) => void kept.delete(`${model}:${id}`),
    revokeByGrantId: async () => {},
  });
}

/**
 * A provider that lives as long as the test.
 *
 * @param lifetimeSeconds of its access tokens.
 */
export async function startOidcProvider(t: TestContext, lifetimeSeconds = 3_600): Promise<OidcProvider> {
  const provider = new OidcProvider(lifetimeSeconds);
  await provider.start();
  await provider.useKeys(await signingKey('first'));
  t.after(() => provider.stop());
  return provider;
}
