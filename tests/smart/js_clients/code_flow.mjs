// The code flow with OpenID Connect by oauth4webapi: prints where to send the browser, reads where it was sent back to,
// prints what it learnt.
import { createInterface } from "node:readline/promises";

const [library, base, clientId, secret, redirectUri, aud, scope] = process.argv.slice(2);
const oauth = await import(library);
const options = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(base);
const found = [];
let as;
for (const algorithm of ["oauth2", "oidc"]) {
  as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...options }));
  found.push(as.token_endpoint);
}
const client = { client_id: clientId };
const proof = oauth.ClientSecretBasic(secret);
const verifier = oauth.generateRandomCodeVerifier();
const state = oauth.generateRandomState();
const nonce = oauth.generateRandomNonce();
const address = new URL(as.authorization_endpoint);
const request = {
  response_type: "code", client_id: clientId, redirect_uri: redirectUri, scope, aud, state, nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
};
for (const [name, value] of Object.entries(request)) address.searchParams.set(name, value);
console.log(address.href);

const answered = await createInterface({ input: process.stdin }).question("");
const parameters = oauth.validateAuthResponse(as, client, new URL(answered), state);
const response = await oauth.authorizationCodeGrantRequest(
  as, client, proof, parameters, redirectUri, verifier, options);
const answer = await oauth.processAuthorizationCodeResponse(
  as, client, response, { expectedNonce: nonce, requireIdToken: true });
await oauth.validateApplicationLevelSignature(as, response, options);
const claims = oauth.getValidatedIdTokenClaims(answer);
const person = await oauth.processUserInfoResponse(
  as, client, claims.sub, await oauth.userInfoRequest(as, client, answer.access_token, options));
const again = await oauth.processRefreshTokenResponse(
  as, client, await oauth.refreshTokenGrantRequest(as, client, proof, answer.refresh_token, options));
const introspected = async (token) => (await oauth.processIntrospectionResponse(
  as, client, await oauth.introspectionRequest(as, client, proof, token, options))).active;
const before = await introspected(again.access_token);
await oauth.processRevocationResponse(
  await oauth.revocationRequest(as, client, proof, again.refresh_token, options));
const after = await introspected(again.access_token);
console.log(JSON.stringify({
  found, claims, person, patient: answer.patient, isNew: again.refresh_token !== answer.refresh_token, before, after,
}));
