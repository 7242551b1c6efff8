import {
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  GetFunctionCommand,
  InvokeCommand,
  LambdaClient,
  ListFunctionsCommand,
  ListTagsCommand,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CreatedKey, createdKeySchema, type Scope } from '../../../sdk/contract/key.ts';
import { listen } from '../../../services/gateway/server.ts';
import { finished, useGateway } from '../../support/gateway.ts';
import { useRedis } from '../../support/redis.ts';
import { zipOf } from '../../support/zip.ts';

const adminKey = `ocb_admin_${'a'.repeat(64)}`;
const gateway = useGateway(useRedis(), { ONCEBOX_AUTH: 'required', ONCEBOX_ADMIN_KEY: adminKey });
let endpoint: string;
const clients: LambdaClient[] = [];

beforeEach(async () => {
  const server = await listen(gateway.app, { host: '127.0.0.1', port: 0 });
  gateway.undo.push(() => server.close(1_000));
  endpoint = `http://127.0.0.1:${server.port}`;
});
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

async function keyOf(scopes: Scope[], tenant = 'acme'): Promise<CreatedKey> {
  const request = { name: 'aws', tenant, scopes };
  const reply = await gateway.postJson('/v1/keys', request, { headers: { 'x-api-key': adminKey } });
  return createdKeySchema.parse(await reply.json());
}

function clientOf(credentials: CreatedKey['aws'] | undefined, options: object = {}): LambdaClient {
  const none = { accessKeyId: '', secretAccessKey: '' };
  const client = new LambdaClient({
    endpoint,
    region: 'eu-west-1',
    credentials: credentials ?? none,
    ...options,
  });
  clients.push(client);
  return client;
}

const deploy = (FunctionName: string) =>
  new CreateFunctionCommand({
    ...{
      FunctionName,
      Role: 'arn:aws:iam::000000000000:role/any',
      Runtime: 'nodejs22.x',
      Handler: 'index.handler',
    },
    Code: { ZipFile: zipOf({ 'index.mjs': 'export const handler = (event) => event' }) },
  });

test('a signed request is of the tenant and has the scopes of its key', async () => {
  await gateway.startWorker(async (job) =>
    finished(job, { outcome: { status: 'ok', result: job.data.tenant } }),
  );
  const lambda = clientOf((await keyOf(['deploy', 'invoke', 'read'])).aws);
  await lambda.send(deploy('Own'));
  // The ARN is escaped in the path, and the signature is of that.
  const FunctionName = 'arn:aws:lambda:eu-west-1:000000000000:function:Own';
  const { Payload } = await lambda.send(
    new InvokeCommand({ FunctionName, Payload: '{"a":"é"}', Qualifier: '$LATEST' }),
  );
  expect(Payload?.transformToString()).toBe('"acme"');
  expect((await lambda.send(new ListTagsCommand({ Resource: FunctionName }))).Tags).toEqual({});
  // Nobody gets in without a key by a URL.
  const open = new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: 'NONE' });
  await expect(lambda.send(open)).rejects.toMatchObject({ name: 'InvalidParameterValueException' });

  const other = clientOf((await keyOf(['read'], 'other')).aws);
  await expect(other.send(new GetFunctionCommand({ FunctionName: 'Own' }))).rejects.toMatchObject({
    name: 'ResourceNotFoundException',
  });
  await expect(other.send(deploy('Mine'))).rejects.toMatchObject({
    ...{ name: 'AccessDeniedException', $metadata: { httpStatusCode: 403 } },
  });
});

test('who signs with a wrong secret, or with none that is known, or not at all, is refused', async () => {
  const { aws, id } = await keyOf(['read']);
  const list = new ListFunctionsCommand({});
  const accessKeyId = aws?.accessKeyId ?? '';
  expect(accessKeyId).toBe(id);
  const refusals = [
    [{ accessKeyId, secretAccessKey: 'wrong' }, 'InvalidSignatureException'],
    [
      { accessKeyId: 'f'.repeat(20), secretAccessKey: aws?.secretAccessKey ?? '' },
      'UnrecognizedClientException',
    ],
  ] as const;
  for (const [credentials, name] of refusals)
    await expect(clientOf(credentials).send(list)).rejects.toMatchObject({
      name,
      $metadata: { httpStatusCode: 403 },
    });
  const unsigned = await fetch(`${endpoint}/2015-03-31/functions`);
  expect([unsigned.status, unsigned.headers.get('x-amzn-errortype')]).toEqual([
    403,
    'MissingAuthenticationTokenException',
  ]);
  // A key of ours does as well, and opens nothing once it is deleted.
  expect((await clientOf(aws).send(list)).Functions).toEqual([]);
  await gateway.tenancy.keys.delete(id);
  await expect(clientOf(aws).send(list)).rejects.toMatchObject({ name: 'UnrecognizedClientException' });
});

test('what was changed on the way, or is not signed, or was signed for another service, is refused', async () => {
  const { aws } = await keyOf(['deploy', 'invoke', 'read']);
  const changed = async (
    change: (request: { headers: Record<string, string>; body?: unknown; query?: object }) => void,
  ) => {
    const client = clientOf(aws, { maxAttempts: 1 });
    client.middlewareStack.add(
      (next) => (args) => {
        change(args.request as never);
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low', name: 'change' },
    );
    return client.send(new InvokeCommand({ FunctionName: 'any', Payload: '{"a":1}' })).then(
      () => 'nothing',
      (error: Error) => error.name,
    );
  };
  const refused = 'InvalidSignatureException';
  expect(await changed(() => {})).toBe('ResourceNotFoundException');
  expect(await changed((request) => Object.assign(request, { body: '{"a":2}' }))).toBe(refused);
  expect(await changed((request) => Object.assign(request, { query: { Qualifier: '1' } }))).toBe(refused);
  expect(await changed(({ headers }) => Object.assign(headers, { 'x-amz-log-type': 'Tail' }))).toBe(refused);
  expect(
    await changed(({ headers }) => {
      headers.authorization = headers.authorization?.replace('/lambda/', '/s3/') ?? '';
    }),
  ).toBe(refused);
  expect(
    await changed(({ headers }) => {
      headers.authorization = 'AWS4-HMAC-SHA256 Credential=nonsense';
    }),
  ).toBe('IncompleteSignatureException');
});

test('a clock that is off by more than five minutes is told so, and the client sets it right', async () => {
  const { aws } = await keyOf(['read']);
  const late = clientOf(aws, { maxAttempts: 1, systemClockOffset: -6 * 60_000 });
  await expect(late.send(new ListFunctionsCommand({}))).rejects.toMatchObject({
    name: 'InvalidSignatureException',
  });
  const corrected = clientOf(aws, { systemClockOffset: -6 * 60_000 });
  const reply = await corrected.send(new ListFunctionsCommand({}));
  expect(reply).toMatchObject({ Functions: [], $metadata: { attempts: 2 } });
});
