/** An ECMAScript module: deploy with handler `index.handler`. */
export async function handler(event, context) {
  return { greeting: `Hello, ${event?.name ?? 'world'}!`, invocationId: context.invocationId };
}
