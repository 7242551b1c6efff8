/** What each runtime does with the SDK. */
export async function tour(client, OnceboxError) {
  const hello = await client.run({ runtime: 'node', code: 'console.log(6 * 7)' });
  await client.deploy('tour', {
    runtime: 'node',
    handler: 'index.handler',
    files: [{ path: 'index.mjs', content: 'export const handler = ({ name }) => `hello ${name}`;' }],
  });
  const { result } = await client.invoke('tour', { name: 'Ada' });
  const refusal = await client.invoke('nobody').catch((error) => error);
  return {
    stdout: hello.stdout,
    result,
    refusal: refusal instanceof OnceboxError && refusal.code,
  };
}
