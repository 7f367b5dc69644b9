/** Attacks on the claims of a token. C numbers are the rows of the threat table. */
import { clientRole, client as issuedTo, realmRole } from 'scopegate'
import { as, OWN } from './attack-forge.js'
import { type Attack, each, shots } from './attack-form.js'

/** Where the clock of a gate stands whose seconds are counted. */
const NOW = 1_800_000_000

export const CLAIMS: readonly Attack[] = [
  {
    id: 'C1',
    attack: 'no exp',
    tokens: async ({ issuer, sign }) =>
      shots('claim_invalid', {
        'no exp': await issuer.sign({ exp: undefined }),
        'no exp, but expires_in': await issuer.sign({ exp: undefined, expires_in: 300 }),
        'no exp and no iat': sign({ exp: undefined, iat: undefined }),
        'Exp for exp': sign({ exp: undefined, Exp: 9_999_999_999 }),
      }),
  },
  {
    id: 'C2',
    attack: 'an exp that is no moment',
    tokens: ({ sign, claims }) => {
      const raw = (number: string) => sign(JSON.stringify(claims({ exp: 0 })).replace('"exp":0', `"exp":${number}`))
      return [
        ...shots('claim_invalid', {
          ...each(['9999999999', '', 'NaN', 'never', null, true, false, [9_999_999_999], {}, -1], exp => sign({ exp })),
          ...each(['1e400', '-1e400', '9007199254740993', '1e300', '-0.5'], raw),
        }),
        ...shots('token_expired', each(['0', '-0', '1', '0.5', '1e-400'], raw)),
        ...shots('token_malformed', each(['NaN', 'Infinity', '0x7fffffff', '1_000'], raw)),
      ]
    },
  },
  {
    id: 'C2',
    attack: 'an nbf or iat that is no moment',
    tokens: ({ sign }) => {
      const wrong = ['0', 'now', null, true, [0], {}, -1]
      return [
        ...shots(
          'claim_invalid',
          each(wrong, nbf => sign({ nbf })),
        ),
        ...shots(
          'claim_invalid',
          each(wrong, iat => sign({ iat })),
        ),
      ]
    },
  },
  {
    id: 'C3',
    attack: 'expired, or not valid yet, by a second more than the tolerance',
    gate: () => ({ clock: () => NOW, clockTolerance: 30 }),
    tokens: ({ sign }) => {
      const at = (claims: object) => sign({ iat: NOW, exp: NOW + 300, ...claims })
      return [
        ...shots('accepted', {
          'exp within': at({ exp: NOW - 29 }),
          'nbf within': at({ nbf: NOW + 30 }),
          'iat within': at({ iat: NOW + 30 }),
        }),
        ...shots('token_expired', { 'exp at the edge': at({ exp: NOW - 30 }), 'exp beyond': at({ exp: NOW - 31 }) }),
        ...shots('token_not_yet_valid', {
          'nbf beyond': at({ nbf: NOW + 31 }),
          'iat beyond': at({ iat: NOW + 31 }),
          'nbf beyond exp': at({ nbf: NOW + 9999 }),
        }),
      ]
    },
  },
  {
    id: 'C3',
    attack: 'expired or early where no tolerance is granted',
    gate: () => ({ clock: () => NOW, clockTolerance: 0 }),
    tokens: ({ sign }) => [
      ...shots('token_expired', { 'exp now': sign({ iat: NOW - 9, exp: NOW }) }),
      ...shots('token_not_yet_valid', { 'nbf in a second': sign({ iat: NOW, exp: NOW + 9, nbf: NOW + 1 }) }),
    ],
  },
  {
    id: 'C4',
    attack: 'no iat: exp counts all the same',
    tokens: async ({ issuer }) => [
      ...shots('accepted', { 'not expired': await issuer.sign({ iat: undefined }) }),
      ...shots('token_expired', { expired: await issuer.sign({ iat: undefined, exp: 1_000_000_000 }) }),
      ...shots('claim_invalid', { 'without exp': await issuer.sign({ iat: undefined, exp: undefined }) }),
    ],
  },
  {
    id: 'C4',
    attack: 'no iat where RFC 9068 counts',
    gate: () => ({ profile: 'rfc9068' }),
    tokens: async ({ issuer }) => shots('claim_invalid', { 'no iat': await issuer.sign({ iat: undefined }) }),
  },
  {
    id: 'C6',
    attack: 'an iss that is nearly the right one, or several',
    tokens: async ({ issuer, sign }) =>
      shots('wrong_issuer', {
        ...each(
          [
            undefined,
            '',
            null,
            0,
            {},
            [OWN],
            ['https://attacker.example', OWN],
            { toString: OWN },
            `${OWN}/`,
            `${OWN}x`,
            OWN.slice(0, -1),
            `${OWN}/protocol`,
            `x${OWN}`,
            ` ${OWN}`,
            `${OWN} `,
            `${OWN}\n`,
            `${OWN}\0`,
            `${OWN}?x`,
            `${OWN}#`,
            OWN.replace('https', 'http'),
            OWN.replace('https', 'HTTPS'),
            OWN.replace('login', 'Login'),
            OWN.replace('own', 'OWN'),
            OWN.replace('own', '%6Fwn'),
            OWN.replace('login', 'lоgin'),
            OWN.replace('.com', '.com.'),
            OWN.replace('.com', '.com:443'),
            OWN.replace('login', 'user@login'),
            OWN.replace('/realms', '//realms'),
            OWN.replace('/realms', '/x/../realms'),
            OWN.replace('.example', '.example。'),
            '__proto__',
            'constructor',
          ],
          iss => sign({ iss }),
        ),
        'a slash behind the other issuer': await issuer.sign({ iss: `${issuer.issuer}/` }),
        'localhost for 127.0.0.1': await issuer.sign({ iss: issuer.issuer.replace('127.0.0.1', 'localhost') }),
        'Iss for iss': sign({ iss: undefined, Iss: OWN, issuer: OWN }),
        'iss in the header': sign({ iss: undefined }, { iss: OWN }),
      }),
  },
  {
    id: 'C8',
    attack: 'an aud that is not this API',
    tokens: async ({ issuer, sign }) => [
      ...shots('accepted', { 'one of a list': await issuer.sign({ aud: ['other', 'test-api'] }) }),
      ...shots('wrong_audience', {
        ...each(
          [
            undefined,
            [],
            '',
            null,
            0,
            true,
            {},
            'other',
            'account',
            'test',
            'test-api2',
            'xtest-api',
            'TEST-API',
            'test-api ',
            'test-api other',
            'other,test-api',
            '*',
            ['test-ap', 'i'],
            [['test-api']],
            [null],
            ['test-api', 5],
            ['test-api', null],
            { 'test-api': true },
            { 0: 'test-api', length: 1 },
          ],
          aud => sign({ aud }),
        ),
        '2,000 others': sign({ aud: Array.from({ length: 2000 }, () => 'o') }),
        'azp and resource instead': sign({ aud: undefined, azp: 'test-api', resource: 'test-api', client_id: 'test-api' }),
      }),
      ...shots('accepted', { '2,000 and this one': sign({ aud: [...Array.from({ length: 2000 }, () => 'o'), 'test-api'] }) }),
      ...shots('token_too_long', { '10,000 entries': sign({ aud: Array.from({ length: 10_000 }, () => 'a') }) }),
    ],
  },
  {
    id: 'C8',
    attack: 'an aud of the wrong shape where no audience is asked for',
    gate: () => ({ audience: null }),
    tokens: ({ sign }) => [
      ...shots(
        'accepted',
        each([undefined, 'other', []], aud => sign({ aud })),
      ),
      ...shots(
        'wrong_audience',
        each([0, null, {}, [['x']], [1]], aud => sign({ aud })),
      ),
    ],
  },
  {
    id: 'C9',
    attack: 'a scope that is nearly the right one',
    requires: 'admin',
    tokens: async ({ issuer, sign }) => [
      ...shots('accepted', {
        ...each(['admin', 'user admin', ' admin ', 'admin  user', ['user', 'admin']], scope => sign({ scope })),
        scp: await issuer.sign({ scope: undefined, scp: 'admin' }),
        'scp, a list': sign({ scope: undefined, scp: ['admin'] }),
        scopes: sign({ scope: undefined, scopes: ['admin'] }),
      }),
      ...shots('insufficient_scope', {
        ...each(
          [
            undefined,
            '',
            ' ',
            null,
            true,
            {},
            'administrator',
            'superadmin',
            'Admin',
            'ADMIN',
            'admin\tuser',
            'user\tadmin',
            'user\nadmin',
            'user\u00a0admin',
            'admin,user',
            'admin;',
            '"admin"',
            'adm*',
            '*',
            'аdmin',
            'admin\0',
            ['user admin'],
            [['admin']],
            ['admin', 5],
            ['admin', null],
            [],
            { admin: true },
            { 0: 'admin', length: 1 },
          ],
          scope => sign({ scope }),
        ),
        'scp beside an empty scope': sign({ scope: '', scp: 'admin' }),
        'scopes beside scope': await issuer.sign({ scope: 'user', scopes: ['admin'] }),
        'Scope for scope': sign({ scope: undefined, Scope: 'admin' }),
        'permissions and roles': sign({ scope: undefined, permissions: ['admin'], roles: ['admin'] }),
      }),
    ],
  },
  {
    id: 'C9',
    attack: 'one scope where both are asked for',
    requires: ['admin', 'user'],
    tokens: ({ sign }) => [
      ...shots('accepted', { both: sign({ scope: 'user admin' }) }),
      ...shots(
        'insufficient_scope',
        each(['admin', 'user', 'user user', 'admin user2', ['admin user']], scope => sign({ scope })),
      ),
    ],
  },
  {
    id: 'C10',
    attack: 'roles of the wrong shape',
    requires: realmRole('admin'),
    tokens: ({ sign }) => [
      ...shots('accepted', { 'the right shape': sign() }),
      ...shots('insufficient_role', {
        ...each(
          [
            'admin',
            { admin: true },
            { 0: 'admin', length: 1 },
            null,
            true,
            [['admin']],
            ['administrator'],
            ['Admin'],
            ['__proto__'],
            [{ name: 'admin' }],
            [],
          ],
          roles => sign({ realm_access: { roles } }),
        ),
        ...each([null, 'admin', ['admin'], [{ roles: ['admin'] }], { role: ['admin'] }, 0], realm_access => sign({ realm_access })),
        'roles of a client': sign({
          realm_access: undefined,
          resource_access: { 'test-api': { roles: ['admin'] }, realm: { roles: ['admin'] } },
        }),
        'roles and groups': sign({ realm_access: undefined, roles: ['admin'], groups: ['admin'], role: 'admin' }),
      }),
    ],
  },
  {
    id: 'C10',
    attack: 'roles of another client',
    requires: clientRole('test-api', 'admin'),
    tokens: ({ sign }) => [
      ...shots('accepted', { 'of this one': sign() }),
      ...shots('insufficient_role', {
        'of another': sign({ resource_access: { other: { roles: ['admin'] }, 'test-api': { roles: ['user'] } } }),
        'of one with a longer name': sign({ resource_access: { 'test-api2': { roles: ['admin'] } } }),
        'of the realm': sign({ resource_access: undefined }),
        ...each([null, [], 'admin', { 'test-api': ['admin'] }, { 'test-api': null }, { 'test-api': { roles: 'admin' } }], resource_access =>
          sign({ resource_access }),
        ),
      }),
    ],
  },
  {
    id: 'C10',
    attack: 'a role named __proto__',
    requires: realmRole('__proto__'),
    tokens: ({ sign }) => [
      ...shots('insufficient_role', { 'which every object has': sign() }),
      ...shots('accepted', { 'given by the issuer': sign({ realm_access: { roles: ['__proto__'] } }) }),
    ],
  },
  {
    id: 'C11',
    attack: 'a user or a client whose sub is the name of a client',
    requires: issuedTo('billing'),
    tokens: async ({ issuer, sign }) => [
      ...shots('accepted', {
        'the client itself': sign({ client_id: 'billing' }),
        'by azp': sign({ client_id: undefined, azp: 'billing' }),
      }),
      ...shots('claim_mismatch', {
        'as sub': await issuer.sign({ sub: 'billing' }),
        'as preferred_username': sign({ preferred_username: 'billing' }),
        'as azp beside client_id': sign({ azp: 'billing' }),
        'no client at all': sign({ client_id: undefined, sub: 'billing' }),
      }),
    ],
  },
  {
    id: 'C12',
    attack: 'an issuer or a realm that the token names, and nobody configured',
    tokens: ({ outside, issuer, sign, keys }) =>
      shots('wrong_issuer', {
        ...each(
          [
            outside.url,
            `${outside.url}/realms/evil`,
            `${issuer.url}/realms/other`,
            OWN.replace('own', 'other'),
            'http://169.254.169.254/latest/meta-data',
            'file:///etc/passwd',
            `${OWN}/../evil`,
          ],
          iss => sign({ iss }, { jku: `${outside.url}/evil` }),
        ),
        'with every other key': sign({ iss: outside.url, jwks_uri: `${outside.url}/evil`, realm: 'evil' }, {}, as(keys.any, 'PS256')),
      }),
  },
  {
    id: 'X4',
    attack: 'each member of the header and each claim that counts, set to anything',
    tokens: ({ sign }) => {
      const values = [null, true, false, 0, -1, 'x', [], {}, [null], '']
      const set = (name: string, ...but: readonly unknown[]) =>
        Object.fromEntries(
          values.filter(value => !but.includes(value)).map(value => [`${name} ${JSON.stringify(value)}`, sign({ [name]: value })]),
        )
      return [
        ...shots('wrong_issuer', set('iss')),
        ...shots('wrong_audience', set('aud')),
        ...shots('wrong_token_type', set('typ')),
        ...shots('claim_invalid', { ...set('exp', 0), ...set('nbf', 0), ...set('iat', 0) }),
        ...shots('claim_invalid', { ...set('sub', 'x', ''), ...set('client_id', 'x', ''), ...set('azp', 'x', '') }),
        ...shots('accepted', {
          ...set('jti'),
          ...set('scope'),
          ...set('realm_access'),
          ...set('resource_access'),
          ...set('acr'),
          ...set('nonce'),
        }),
        ...shots(
          'algorithm_not_allowed',
          each(values, alg => sign({}, { alg })),
        ),
        ...shots(
          'wrong_token_type',
          each(values, typ => sign({}, { typ })),
        ),
      ]
    },
  },
  {
    id: 'X5',
    attack: 'a token that is bound to a key, sent as Bearer',
    tokens: async ({ issuer, sign }) =>
      shots('token_bound', {
        DPoP: await issuer.sign({ cnf: { jkt: 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs' } }),
        mTLS: await issuer.sign({ cnf: { 'x5t#S256': 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' } }),
        ...each([{ jwk: {} }, { unknown: 1 }, {}, [], null, '', 'jkt', 0, false], cnf => sign({ cnf })),
      }),
  },
]
