// Another OpenID Provider implementation (npm oidc-provider), configured as NHS login is documented to be.
// Comes in: one line of JSON on standard input. Goes out: "ready" when it listens.

import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
const { port, client, key, person } = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
const issuer = `http://localhost:${port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      ...client,
      response_types: ['code'],
      grant_types: ['authorization_code'],
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'RS512',
      id_token_signed_response_alg: 'RS512',
    },
  ],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: ['RS512'], idTokenSigningAlgValues: ['RS512'] },
  jwks: { keys: [key] },
  cookies: { keys: ['a secret of this test only'] },
  pkce: { required: () => true },
  extraParams: ['vtr'],
  conformIdTokenClaims: false,
  scopes: ['openid', 'profile', 'profile_extended', 'email', 'phone'],
  claims: {
    openid: ['sub', 'vot', 'vtm'],
    profile: ['nhs_number', 'birthdate', 'family_name', 'identity_proofing_level'],
    profile_extended: ['given_name'],
    email: ['email', 'email_verified'],
    phone: ['phone_number', 'phone_number_verified'],
  },
  findAccount: (_context, sub) => ({
    accountId: sub,
    claims: () => ({ sub, vot: 'P9.Cp.Cd', vtm: `${issuer}/trustmark/localhost`, ...person }),
  }),
});

provider.listen(port, '127.0.0.1', () => console.log('ready'));
