import type { Scope } from '../../sdk/contract/key.ts';

/** What a request needs: no key at all, any key, or a key of this scope. */
export type Access = 'open' | 'any key' | Scope;

interface Rule {
  route: RegExp;
  /** Absent: any. */
  methods?: readonly string[];
  access: Access;
}

const reading = ['GET', 'HEAD'];

/** The first that fits holds. `route` is the pattern of what answers, such as `/v1/keys/:id`, and not what was asked for. */
const rules: readonly Rule[] = [
  { route: /^\/(healthz|readyz|openapi\.json)?$/, access: 'open' },
  { route: /^\/reference(\/|$)/, access: 'open' },
  // No route at all: the reply is a 404 or 405 whoever asks.
  { route: /^\/\*$/, access: 'any key' },

  { route: /^\/fn\//, access: 'invoke' },
  { route: /^\/lambda-url\//, access: 'invoke' },
  // Lambda's own paths begin with a date.
  {
    route: /^\/20\d\d-\d\d-\d\d\/.*\/(invocations|invoke-async|response-streaming-invocations)\/?$/,
    access: 'invoke',
  },
  { route: /^\/20\d\d-\d\d-\d\d\//, methods: reading, access: 'read' },
  { route: /^\/20\d\d-\d\d-\d\d\//, access: 'deploy' },
  { route: /^\/v1\/run$/, access: 'invoke' },
  { route: /^\/v1\/functions\/:\w+\/(invoke|batch)$/, access: 'invoke' },
  { route: /^\/v1\/invocations\/:\w+$/, methods: ['DELETE'], access: 'invoke' },
  { route: /^\/v1\/invocations\/:\w+\/(stdin\/:\w+|signal)$/, access: 'invoke' },
  { route: /^\/v1\/dead-letters\//, methods: ['POST', 'DELETE'], access: 'invoke' },

  // What a client of Piston asks for to run something; its packages are languages.
  { route: /^\/api\/v2(\/piston)?\/(runtimes|execute|connect)\/?$/, access: 'invoke' },
  { route: /^\/api\/v2(\/piston)?\/packages\/?$/, methods: reading, access: 'read' },

  // A key is shown to who makes it, and opens what its scopes say in any tenant.
  { route: /^\/v1\/keys(\/|$)/, access: 'admin' },
  { route: /^\/v1\/tenants\/:\w+$/, methods: reading, access: 'read' },
  { route: /^\/v1\/tenants(\/|$)/, access: 'admin' },

  // Images are the node's, and a push leaves one there and goes out to a registry.
  { route: /^\/v1\/functions\/:\w+\/push$/, access: 'admin' },

  // What it shows signs what the tenant's receivers believe.
  { route: /^\/v1\/callback-secret(\/|$)/, access: 'deploy' },
  {
    route: /^\/v1\/(functions|secrets|schedules)(\/|$)/,
    methods: ['PUT', 'POST', 'DELETE'],
    access: 'deploy',
  },

  { route: /^\/(v1\/|metrics$)/, methods: reading, access: 'read' },
];

/** What no rule knows, which may be a route that was added without one, is for admins only. */
export function accessOf(method: string, route: string): Access {
  const rule = rules.find(
    ({ route: pattern, methods }) =>
      pattern.test(route) && (methods === undefined || methods.includes(method)),
  );
  return rule?.access ?? 'admin';
}
