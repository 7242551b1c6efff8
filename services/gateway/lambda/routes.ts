import { type Context, Hono } from 'hono';
import type { GatewayDeps, GatewayEnv } from '../deps.ts';
import { aliasOperations } from './aliases.ts';
import { concurrencyOperations } from './concurrency.ts';
import { functionUrl } from './function-url.ts';
import { functionOperations } from './functions.ts';
import { invokeOperations } from './invoke.ts';
import { functionUrlPrefix } from './paths.ts';
import { tagOperations } from './tags.ts';
import { urlOperations } from './urls.ts';
import { versionOperations } from './versions.ts';

type Operation = (c: Context<GatewayEnv>) => Response | Promise<Response>;

/** AWS Lambda's HTTP API, as its clients speak it: a translation to functions, versions, aliases and invocations. */
export function lambdaRoutes(deps: GatewayDeps): Hono<GatewayEnv> {
  const functions = functionOperations(deps);
  const versions = versionOperations(deps);
  const aliases = aliasOperations(deps);
  const concurrency = concurrencyOperations(deps);
  const urls = urlOperations(deps);
  const tags = tagOperations(deps);
  const { invoke, invokeAsync, stream } = invokeOperations(deps);
  const all = '/2015-03-31/functions';
  const one = `${all}/:name`;
  const url = '/2021-10-31/functions/:name/url';
  const reserved = '/2017-10-31/functions/:name/concurrency';
  const tagged = '/2017-03-31/tags/:arn';
  const routes: [method: string, path: string, operation: Operation][] = [
    ['POST', `${one}/invocations`, invoke],
    ['POST', '/2014-11-13/functions/:name/invoke-async', invokeAsync],
    ['POST', '/2021-11-15/functions/:name/response-streaming-invocations', stream],
    ['POST', all, functions.create],
    ['GET', all, functions.list],
    ['GET', one, functions.get],
    ['DELETE', one, functions.delete],
    ['GET', `${one}/configuration`, functions.configuration],
    ['PUT', `${one}/configuration`, functions.updateConfiguration],
    ['PUT', `${one}/code`, functions.updateCode],
    ['POST', `${one}/versions`, versions.publish],
    ['GET', `${one}/versions`, versions.list],
    ['POST', `${one}/aliases`, aliases.create],
    ['GET', `${one}/aliases`, aliases.list],
    ['GET', `${one}/aliases/:alias`, aliases.get],
    ['PUT', `${one}/aliases/:alias`, aliases.update],
    ['DELETE', `${one}/aliases/:alias`, aliases.delete],
    ['PUT', reserved, concurrency.put],
    ['GET', '/2019-09-30/functions/:name/concurrency', concurrency.get],
    ['DELETE', reserved, concurrency.delete],
    ['POST', url, urls.create],
    ['GET', url, urls.get],
    ['PUT', url, urls.update],
    ['DELETE', url, urls.delete],
    ['GET', `${url}s`, urls.list],
    ['GET', tagged, tags.list],
    ['POST', tagged, tags.tag],
    ['DELETE', tagged, tags.untag],
    ['GET', '/2016-08-19/account-settings', concurrency.account],
  ];
  const app = new Hono<GatewayEnv>();
  for (const [method, path, operation] of routes) {
    // Some clients write the last slash.
    for (const spelling of [path, `${path}/`]) {
      app.on(method, spelling, (c) => {
        c.header('x-amzn-requestid', c.get('requestId'));
        return operation(c);
      });
    }
  }
  const served = functionUrl(deps);
  return app.all(`${functionUrlPrefix}/:name`, served).all(`${functionUrlPrefix}/:name/*`, served);
}
