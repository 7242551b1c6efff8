/** A CommonJS module: deploy with handler `index.handler`. */
exports.handler = async (event) => ({ greeting: `Hello, ${event?.name ?? 'world'}!` });
