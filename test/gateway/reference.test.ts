import { beforeEach, describe, expect, test, vi } from 'vitest';
import { type GatewayServer, listen } from '../../services/gateway/server.ts';
import { useChromium } from '../support/chromium.ts';
import { useGateway } from '../support/gateway.ts';
import { useRedis } from '../support/redis.ts';

const gateway = useGateway(useRedis());
const page = useChromium();
let server: GatewayServer;
let url: string;

beforeEach(async () => {
  server = await listen(gateway.app, { host: '127.0.0.1', port: 0 });
  gateway.undo.push(() => server.close(0));
  url = `http://127.0.0.1:${server.port}`;
});

describe('in a browser', { timeout: 600_000 }, () => {
  test('the reference shows every operation, complains of nothing and asks nobody but the gateway', async () => {
    await page.open(`${url}/`);
    const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: object };
    const operations = Object.values(paths).flatMap((path) => Object.keys(path)).length;
    await vi.waitFor(async () => expect(await count('.opblock')).toBe(operations), 120_000);
    expect(await page.evaluate('location.pathname')).toBe('/reference');
    if (process.env.ONCEBOX_SCREENSHOT) await page.screenshot(process.env.ONCEBOX_SCREENSHOT);
    expect(page.complaints).toEqual([]);
    expect(
      page.requests.filter((address) => !address.startsWith(`${url}/`) && !/^data:/.test(address)),
    ).toEqual([]);
    expect(page.requests).toContain(`${url}/openapi.json`);
  });

  test('an operation can be tried there, and its reply is shown', async () => {
    await page.open(`${url}/reference`);
    await vi.waitFor(async () => expect(await count('.opblock')).toBeGreaterThan(20), 120_000);
    const operation = '[id$="-getHealth"]';
    for (const part of [
      `${operation} .opblock-summary-control`,
      `${operation} .try-out__btn`,
      `${operation} .execute`,
    ])
      await vi.waitFor(() => page.evaluate(`document.querySelector('${part}').click()`), 120_000);
    const reply = `${operation} .live-responses-table .response .highlight-code`;
    await vi.waitFor(
      async () =>
        expect(await page.evaluate<string>(`document.querySelector('${reply}').textContent`)).toMatch(
          /"status":\s*"ok"/,
        ),
      120_000,
    );
    expect(page.complaints).toEqual([]);
  });

  test('nothing but the gateway can be loaded or asked from the page', async () => {
    await page.open(`${url}/reference`);
    const asked = (address: string) =>
      page.evaluate<string>(
        `fetch('${address}', { mode: 'no-cors' }).then(() => 'sent', (error) => error.name)`,
      );
    expect(await asked('/healthz')).toBe('sent');
    expect(await asked(`http://localhost:${server.port}/healthz`)).toBe('TypeError');
    await complainsOf('connect-src');
    await page.evaluate(
      `document.body.append(Object.assign(document.createElement('script'), { text: 'window.ran = 1' }))`,
    );
    expect(await page.evaluate('window.ran ?? null')).toBeNull();
    await complainsOf('script-src');
  });
});

test('the address alone leads to the reference', async () => {
  const response = await gateway.app.request('/');
  expect([response.status, response.headers.get('location')]).toEqual([302, '/reference']);
});

test('files of the page are compressed, and not sent again unless they changed', async () => {
  const first = await fetch(`${url}/reference/swagger-ui-bundle.js`);
  expect(first.headers.get('content-encoding')).toBe('gzip');
  expect((await first.text()).length).toBeGreaterThan(1_000_000);
  const etag = first.headers.get('etag') ?? '';
  const again = await fetch(`${url}/reference/swagger-ui-bundle.js`, { headers: { 'if-none-match': etag } });
  expect(again.status).toBe(304);
});

test.each(['page.html', 'files.ts', '..%2Fapp.ts', 'constructor', 'package.json'])(
  'no other file is served: %s',
  async (name) => {
    expect((await gateway.app.request(`/reference/${name}`)).status).toBe(404);
  },
);

/** The browser says so when it comes to that, be the page told already or not. */
function complainsOf(directive: string): Promise<void> {
  const violation = new RegExp(`violates [^,]*${directive}`);
  return vi.waitFor(() => expect(page.complaints.join()).toMatch(violation), 120_000);
}

function count(selector: string): Promise<number> {
  return page.evaluate(`document.querySelectorAll('${selector}').length`);
}
