// The certified OpenID provider, with its own defaults and a page that believes every name.
import { Provider } from 'oidc-provider';

const issuer = process.env.ISSUER;
const provider = new Provider(issuer, {
  clients: [{
    client_id: process.env.CLIENT_ID,
    client_secret: process.env.CLIENT_SECRET,
    redirect_uris: process.env.REDIRECT_URIS.split(','),
  }],
  claims: {
    openid: ['sub'],
    profile: ['name', 'preferred_username'],
    email: ['email', 'email_verified'],
  },
  // Whoever signs in as `name` has the address `name@peer.example`; `new-...` did not verify it.
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({
      sub,
      name: `${sub} of the Peer`,
      preferred_username: sub,
      email: `${sub}@peer.example`,
      email_verified: !sub.startsWith('new-'),
    }),
  }),
  cookies: { keys: ['only for tests'] },
});
provider.listen(Number(new URL(issuer).port), '127.0.0.1', () => console.log('listening'));
