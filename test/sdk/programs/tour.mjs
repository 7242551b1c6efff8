/** What each runtime does with the SDK. */
export async function tour(client, OnceboxError) {
  const hello = await client.run({ runtime: 'node', code: 'console.log(6 * 7)' });
  await client.deploy('tour', {
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content: 'export const handler = ({ name }) => `hello ${name}`;' }],
  });
  const { result } = await client.invoke('tour', { name: 'Ada' });
  await client.deploy('counter', {
    runtime: 'node',
    handler: 'index.handler',
    files: [
      {
        path: 'index.mjs',
        content: 'export function* handler({ to }) { for (let n = 1; n <= to; n++) yield `${n}`; }',
      },
    ],
  });
  const streamed = await new Response(await client.stream('counter', { to: 3 })).text();
  const { id } = await client.invokeAsync('tour', { name: 'Grace' });
  const waitedFor = await client.wait(id);
  const sleeper = await client.runAsync({ runtime: 'bash', code: 'sleep 60', limits: { wallMs: 60_000 } });
  await client.cancel(sleeper.id);
  const cancelled = await client.wait(sleeper.id);
  const refusal = await client.invoke('nobody').catch((error) => error);
  return {
    stdout: hello.stdout,
    result,
    streamed,
    waitedFor: waitedFor.outcome,
    cancelled: cancelled.outcome,
    refusal: refusal instanceof OnceboxError && refusal.code,
  };
}
